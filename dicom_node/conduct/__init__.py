"""From received instances to queued jobs; the role ``conduct``.

`conductor` is the loop over units that are due. `unit_snapshot` reads a unit and decides whether it is complete, `expected_counts` asks the
source how many instances there are (`series_query`), `unit_routes` and `route_claims` match routes, `best_series` compares the series of a
study, `job_plans` and `model_versions` say which jobs follow. `content_comparison` compares two contents of one SOP Instance UID.
"""
