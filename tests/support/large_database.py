"""Fills a database with as many rows as years of operation, and lists the queries that a node runs all the time."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import event, text

from core.states import Priority
from db import audit, counters
from db.audit_filter import AuditFilter
from db.audit_search import known_actions, search_events
from db.complete import units
from db.deliveries import delivery_leases
from db.deliveries.giving_up import count_undelivered
from db.deliveries.retry_plan import FailedDeliveries, delivery_causes, plan_retry
from db.engine import Database
from db.jobs import job_leases
from db.jobs.claim import claim_jobs, claim_not_analysed
from db.jobs.job_admin import show_job
from db.jobs.prior_choice import choose_prior_results
from db.jobs.prior_results import read_prior_results
from db.jobs.requeue_plan import FailedSelection, failure_causes, plan_requeue
from db.listings.deliveries import count_stopped_deliveries, list_deliveries
from db.listings.jobs import list_jobs
from db.operations import results_export
from db.operations.status import node_status
from db.patients.erasure_plan import plan_erasure
from db.patients.patient_key import PatientKey
from db.patients.patient_record import read_record
from db.worklist.studies import list_studies
from db.worklist.study_filter import StudyFilter
from tests.support.records import Sender, run

FILL = (
    """INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                            accession_number, study_id, study_date, study_time, study_description)
       SELECT '1.2.' || n, 'P' || n / 3, '', 'Doe^' || n, '', '', 'A' || n, '', '', '', '' FROM generate_series(1, {studies}) n""",
    """INSERT INTO series (study_id, series_instance_uid, modality, series_description, body_part_examined)
       SELECT id, study_instance_uid || '.1', 'CT', '', 'CHEST' FROM studies""",
    """INSERT INTO units (series_id, kind, state, source, held, first_received_at, last_received_at, completed_at)
       SELECT id, 'series', 'complete', 'PACS', {each}, t, t, t
       FROM (SELECT id, now() - ({studies} - id) * interval '1 minute' t FROM series) s""",
    """INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision, header,
                              source, association_id)
       SELECT u.id, '1.2.' || u.id || '.1.' || n, '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1', md5(u.id || '.' || n), 525000,
              'current', 1, jsonb_build_object('sop_class_uid', '1.2.840.10008.5.1.4.1.1.2',
              'sop_instance_uid', '1.2.' || u.id || '.1.' || n, 'study_instance_uid', '1.2.' || u.id,
              'series_instance_uid', '1.2.' || u.id || '.1', 'transfer_syntax_uid',
              '1.2.840.10008.1.2.1', 'patient_id', 'P' || u.id / 3, 'modality', 'CT', 'instance_number', n,
              'position', jsonb_build_array(0, 0, n)), 'PACS',
              '00000000-0000-0000-0000-000000000001' FROM units u, generate_series(1, {each}) n""",
    """INSERT INTO association_units (association_id, unit_id, calling_ae, last_instance_at)
       SELECT '00000000-0000-0000-0000-000000000001', id, 'PACS', last_received_at FROM units""",
    """INSERT INTO jobs (key, unit_id, revision, model, model_version, pipeline_digest, routes, destinations, priority, state, outcome,
                         evidence, completed_at, queued_at, reported_at)
       SELECT 'k' || id, id, 1, 'm', '1', 'd', '{{chest}}', '{{pacs}}', 'routine', 'delivered', 'findings', '{{}}',
              completed_at, completed_at, completed_at FROM units""",
    "INSERT INTO job_inputs (job_id, instance_id) SELECT j.id, i.id FROM jobs j JOIN instances i ON i.unit_id = j.unit_id",
    "INSERT INTO outbox (job_id, queue, model, published_at) SELECT id, 'infer.routine', 'm', now() FROM jobs",
    """INSERT INTO attempts (job_id, number, worker, token, result, ended_at)
       SELECT id, 1, 'w', gen_random_uuid(), 'reported', now() FROM jobs""",
    """INSERT INTO job_priors (job_id, place, prior_job_id, model_version, pipeline_digest, study_date, study_time, days)
       SELECT id, 1, earlier, '1', 'd', '20260101', '', 1 FROM (SELECT id, lag(id) OVER (ORDER BY id) AS earlier FROM jobs) j
       WHERE earlier IS NOT NULL""",
    """INSERT INTO findings (job_id, ordinal, label, code_value, code_scheme, code_meaning, tier)
       SELECT id, 1, 'nodule', '27925004', 'SCT', 'Nodule', 'review' FROM jobs""",
    """INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes)
       SELECT id, 'sr', 'sr', '1.2.840.10008.5.1.4.1.1.88.34', '2.25.' || id, '2.25', md5('r' || id), 1 FROM jobs""",
    """INSERT INTO deliveries (job_id, report_id, destination, priority, state, changed_at, stored_at)
       SELECT r.job_id, r.id, destination, 'routine', 'stored', j.reported_at, now()
       FROM reports r JOIN jobs j ON j.id = r.job_id, (VALUES ('pacs'), ('clinic')) of_two (destination)""",
    "SELECT audit_add_month(month) FROM generate_series(now() - {studies} * interval '1 minute', now(), '1 day') AS month",
    """INSERT INTO audit_events (at, actor, action, subject, details, chain_seq, chain_hash)
       SELECT u.last_received_at, 'ae:PACS', 'instance.received', 'instance:' || i.id, '{{}}', i.id, md5(CAST(i.id AS text))
       FROM instances i JOIN units u ON u.id = i.unit_id""",
)  # fmt: skip


# Indexes that no constraint needs, of the tables that are filled; those of parts of the audit trail come from it, where the definition does
# not say ON ONLY, as PostgreSQL writes it for a partitioned table.
_INDEXES = """
    SELECT c.oid::regclass::text, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname IN ('instances', 'audit_events') AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)
"""


def fill_database(database: Database, *, studies: int, each: int, bulk: bool = False) -> None:
    """Insert ``studies`` of one series of ``each`` instances, analysed, reported and delivered, one per minute until now.

    Parameters
    ----------
    bulk
        For millions of instances, by a superuser: without triggers and checks of references, and indexes are built at the end.
    """
    with database.begin() as connection:
        indexes = []
        if bulk:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica; SET LOCAL maintenance_work_mem = '1GB'")
            indexes = connection.exec_driver_sql(_INDEXES).all()
            for name, _ in indexes:
                connection.exec_driver_sql(f"DROP INDEX {name}")
        for statement in FILL:
            connection.exec_driver_sql(statement.format(studies=studies, each=each))
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
    while counters.fold_changes(database):
        pass
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def frequent_queries(database: Database) -> dict[str, Callable[[], Any]]:
    """Return the queries of every role by name. Each can be run again with the same amount of work."""
    sender, numbers = Sender(database, lease_s=36_000), count(1)
    sender.send(0, series="1.9.9.1", study="1.9.9")
    (open_unit,) = units.units_of_study(database, "1.9.9")
    newest = int(str(_one(database, "SELECT max(id) FROM jobs")))
    now = database.now()

    def due() -> None:
        run(database, f"UPDATE units SET next_check_at = node_now() WHERE id = {open_unit.id}")
        assert units.due_units(database, limit=50)

    return {
        "receive: an instance of an open series": lambda: sender.send(next(numbers), series="1.9.9.1", study="1.9.9"),
        "receive: the first instance of a study": lambda: sender.send(1, series=f"1.8.{next(numbers)}.1", study=f"1.8.{next(numbers)}"),
        "receive: an instance that is stored already": lambda: sender.send(0, series="1.9.9.1", study="1.9.9"),
        "completion: which units are due": due,
        "completion: when the next unit is due": lambda: units.seconds_until_check(database),
        "completion: the instances of a unit": lambda: units.instances_of_unit(database, 1),
        "worker: no job is due": lambda: claim_jobs(database, worker="w", priorities=(Priority.ROUTINE,), models=None, lease_s=9),
        "worker: no job failed unexplained": lambda: claim_not_analysed(database, worker="w", priorities=(Priority.ROUTINE,), lease_s=9),
        "worker: the earlier results of a patient": lambda: _choose_priors(database, newest),
        "worker: expired leases": lambda: job_leases.reap_jobs(database, max_attempts=3),
        "sender: no delivery is due": lambda: delivery_leases.claim_deliveries(
            database, sender="s", lease_s=9, limit=10, destinations=("pacs",)
        ),
        "relay: the audit chain": lambda: audit.chain(database, 1000),
        "export: results of the last 5 minutes": lambda: list(results_export.export_findings(database, since=now - timedelta(minutes=5))),
        "console: status": lambda: node_status(database),
        "console: the first page of the worklist": lambda: list_studies(database, StudyFilter()),
        "console: the studies of one patient": lambda: list_studies(database, StudyFilter(text="P17")),
        "console: failed studies (there are none)": lambda: list_studies(database, StudyFilter(state="failed")),
        "console: findings of the highest tier (there are none)": lambda: list_studies(database, StudyFilter(tier="high")),
        "console: actions of the audit trail": lambda: known_actions(database),
        "console: audit events of one study": lambda: search_events(database, AuditFilter(study="17")),
        "console: audit events of one user": lambda: search_events(database, AuditFilter(actor="user:admin")),
        "console: audit events of one patient": lambda: search_events(database, AuditFilter(patient_id="P17")),
        "console: the last 50 jobs": lambda: list_jobs(database, limit=50),
        "console: failed jobs (there are none)": lambda: list_jobs(database, state="failed", limit=50),
        "console: failed jobs that would be requeued (there are none)": lambda: plan_requeue(database, FailedSelection()),
        "console: reasons for which jobs have failed (there are none)": lambda: failure_causes(database, limit=100),
        "console: one job": lambda: show_job(database, newest),
        "console: the last 50 deliveries": lambda: list_deliveries(database, limit=50),
        "console: failed deliveries (there are none)": lambda: list_deliveries(database, state="failed", limit=50),
        "console: failed deliveries of a destination": lambda: list_deliveries(database, state="failed", destination="pacs", limit=50),
        "console: failed deliveries that would be sent again (there are none)": lambda: plan_retry(database, FailedDeliveries()),
        "console: reasons for which deliveries have failed (there are none)": lambda: delivery_causes(database, limit=100),
        "console: what waits for each destination": lambda: count_undelivered(database),
        "doctor: deliveries that failed or are held": lambda: count_stopped_deliveries(database),
        "one person: what an erasure would delete": lambda: plan_erasure(database, PatientKey("P17")),
        "one person: the access report": lambda: read_record(database, PatientKey("P17"), actor="cli:test"),
    }


def _choose_priors(database: Database, job: int) -> None:
    """Choose, as at the first attempt, the earlier results of a patient who has three studies, and read them."""
    study = f"(SELECT se.study_id FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE j.id = {job})"
    same_patient = f"patient_id = (SELECT patient_id FROM studies WHERE id = {study})"
    run(database, f"UPDATE studies SET study_date = to_char(date '2026-01-01' + CAST(id AS integer) % 28, 'YYYYMMDD') WHERE {same_patient}")
    run(database, f"DELETE FROM job_priors WHERE job_id = {job}")
    rule = json.dumps({"count": 5, "within_days": 100, "same": ["Modality"], "unique_ids": True})
    run(database, f"UPDATE jobs SET prior_rule = '{rule}', priors_chosen_at = NULL WHERE id = {job}")
    with database.begin() as connection:
        choose_prior_results(connection, [job])
        assert read_prior_results(connection, [job])[job]


def _one(database: Database, query: str) -> object:
    with database.begin() as connection:
        return connection.execute(text(query)).scalar_one()


@contextmanager
def record_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Yield a list that gets every statement executed within the block, with its parameters."""
    executed: list[tuple[str, Any]] = []

    def on_execute(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        executed.append((statement, parameters[0] if many else parameters))

    event.listen(database.engine, "before_cursor_execute", on_execute)
    try:
        yield executed
    finally:
        event.remove(database.engine, "before_cursor_execute", on_execute)
