"""Measures the status query of the console on a database of 100,000 jobs (30 million instances, 200,000 deliveries).

.venv/bin/python -m tests.bench.console_status
"""

import time
from statistics import median

from sqlalchemy import text

from db import counters
from db.engine import Database
from db.operations.status import node_status
from tests.bench.benchmark import postgres_with_schema, work_folder

UNITS, LOOKS = 100_000, 20
FILL = (
    """INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                            accession_number, study_id, study_date, study_time, study_description)
       VALUES ('1.2', '', '', '', '', '', '', '', '', '', '')""",
    f"""INSERT INTO series (study_id, series_instance_uid, modality, series_description, body_part_examined)
        SELECT 1, '1.' || number, 'CT', '', '' FROM generate_series(1, {UNITS}) number""",
    "INSERT INTO units (series_id, kind, state, source, held) SELECT id, 'series', 'complete', 'A', 300 FROM series",
    """INSERT INTO jobs (key, unit_id, revision, model, model_version, pipeline_digest, routes, destinations, priority, state,
                         evidence, completed_at)
       SELECT 'k' || id, id, 1, 'm', '1', 'd', '{}', '{}', 'routine', 'delivered', '{}', now() FROM units""",
    """INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes)
       SELECT id, 'sr', 'sr', '1', '1.' || id, '1', 's', 1 FROM jobs""",
    """INSERT INTO deliveries (job_id, report_id, destination, priority, state)
       SELECT job_id, id, destination, 'routine', 'stored' FROM reports, (VALUES ('one'), ('two')) of_two (destination)""",
)


def main() -> None:
    """Run the benchmark and print the result."""
    with work_folder() as folder, postgres_with_schema(folder / "postgres") as url, Database.open(url) as database:
        with database.begin() as connection:
            for statement in FILL:
                connection.execute(text(statement))
        while counters.fold_changes(database):
            pass
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        times = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            status = node_status(database)
            times.append(time.perf_counter() - began)
        print(f"{status.instances} instances, {status.jobs}, {status.deliveries}")
        print(f"one look: median {median(times) * 1000:.0f} ms, slowest {max(times) * 1000:.0f} ms of {LOOKS}")


if __name__ == "__main__":
    main()
