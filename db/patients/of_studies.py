"""Parts of statements on everything that belongs to the studies ``:studies`` of a person ``:patient_id``, ``:issuer``."""

UNITS = "units u JOIN series se ON se.id = u.series_id"
JOBS = f"jobs j JOIN {UNITS} ON u.id = j.unit_id"
IMAGES = f"instances i JOIN {UNITS} ON u.id = i.unit_id"
OF_STUDIES = "WHERE se.study_id = ANY(CAST(:studies AS bigint[]))"
UPLOADED_FILES = """
    upload_files f JOIN uploads p ON p.id = f.upload_id
    WHERE f.studies && CAST(:studies AS bigint[]) OR (:issuer = '' AND p.statement ->> 'patient_id' = :patient_id)
"""
"""Files ``f`` of uploads ``p``: their images are in the studies, or the uploader has stated the Patient ID, which has no issuer there."""
COMMITMENT_REQUESTS = f"""
    SELECT a.id, a.source, a.state, a.received_at, a.answered_at, count(*) AS instances
    FROM unnest(ARRAY(SELECT DISTINCT i.sop_instance_uid FROM {IMAGES} {OF_STUDIES})) AS held (uid)
    JOIN source_commitment_requests a ON a.sop_instance_uids @> ARRAY[held.uid] GROUP BY a.id
"""
"""Requests of sources that list images of the studies, with the number of these. The array lets both parts be found by their indexes."""
OF_ANOTHER_PERSON = """
    (coalesce(nullif(i.header ->> 'patient_id', ''), :patient_id) <> :patient_id
     OR coalesce(nullif(i.header ->> 'issuer_of_patient_id', ''), :issuer) <> :issuer AND :issuer <> '')
"""
"""Whether an image ``i`` of the studies names another person in its own header. One that names none is of the person of its study."""
IN_OTHER_STUDIES = f"""
    {IMAGES} JOIN studies st ON st.id = se.study_id
    WHERE i.header ->> 'patient_id' = :patient_id AND coalesce(i.header ->> 'issuer_of_patient_id', '') = :issuer
      AND NOT st.id = ANY(CAST(:studies AS bigint[]))
"""
"""Images whose own header names the person, in studies of other persons."""
_ATTEMPTS = "FROM delivery_attempts a WHERE a.delivery_id = d.id"
_STORED = "d.state IN ('stored', 'committed') OR d.stored_at IS NOT NULL"
WAS_STORED = f"({_STORED} OR EXISTS (SELECT {_ATTEMPTS} AND a.result = 'stored'))"
"""Whether a destination has stored the object of a delivery ``d``, also one that it did not commit to, so that the delivery failed."""
MAY_BE_STORED = f"({_STORED} OR EXISTS (SELECT {_ATTEMPTS} AND a.result IN ('stored', 'lost')))"
"""The same, or an attempt ended with its sender: what the destination has received of it is unknown."""
STORED_AT = f"coalesce(d.stored_at, (SELECT max(a.ended_at) {_ATTEMPTS} AND a.result = 'stored'))"
"""When the destination of a delivery ``d`` stored it the last time; NULL if it never did."""
