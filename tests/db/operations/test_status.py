"""The counts of the status page, compared with rows of every state."""

from uuid import uuid4

from sqlalchemy import text

from core.states import DeliveryState, JobState
from db.engine import Database
from db.operations.status import HEARTBEAT_HORIZON_S, node_status

_STUDY = text("""
    INSERT INTO studies (study_instance_uid, patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex,
                         accession_number, study_id, study_date, study_time, study_description)
    VALUES ('1.2', '', '', '', '', '', '', '', '', '', '') RETURNING id
""")
_SERIES = text("""
    INSERT INTO series (study_id, series_instance_uid, modality, series_description, body_part_examined)
    VALUES (:study, '1.2.3', 'CT', '', '') RETURNING id
""")
_UNIT = text("""
    INSERT INTO units (series_id, kind, sop_instance_uid, state, source, held)
    VALUES (:series, 'image', :uid, :state, 'A', :held) RETURNING id
""")
_INSTANCE = text("""
    INSERT INTO instances (unit_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, sha256, size_bytes, state, revision, header,
                           source, association_id)
    VALUES (:unit, '1.2.3.4', '1', '1', :sha256, 1, :state, 1, '{}', 'A', :association)
""")
_JOB = text("""
    INSERT INTO jobs (key, unit_id, revision, model, model_version, pipeline_digest, routes, destinations, priority, state, token,
                      lease_until, evidence, completed_at, queued_at)
    VALUES (:key, :unit, :revision, 'm', '1', 'd', '{}', '{}', 'routine', :state, CAST(:token AS uuid),
            CASE WHEN CAST(:token AS uuid) IS NULL THEN NULL ELSE node_now() END, '{}', node_now(),
            node_now() - make_interval(secs => :age)) RETURNING id
""")
_REPORT = text("""
    INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes)
    VALUES (:job, 'sr', 'sr', '1', :uid, '1', 's', 1) RETURNING id
""")
_DELIVERY = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, token, lease_until, created_at)
    VALUES (:job, :report, :destination, 'routine', :state, CAST(:token AS uuid),
            CASE WHEN CAST(:token AS uuid) IS NULL THEN NULL ELSE node_now() END, node_now() - make_interval(secs => :age))
""")


def test_an_empty_node_counts_nothing(database: Database) -> None:
    status = node_status(database)
    assert (status.instances, status.undecided, status.units_open, status.associations_open, status.outbox_backlog) == (0, 0, 0, 0, 0)
    assert (status.oldest_queued_s, status.oldest_delivery_s) == (0.0, 0.0)
    assert (status.quarantine_items, status.quarantine_bytes) == (0, 0)
    assert (status.jobs, status.deliveries, status.heartbeats) == ({}, {}, ())
    assert abs((database.now() - status.at).total_seconds()) < 600


def test_rows_of_every_state_are_counted(database: Database) -> None:
    before = node_status(database).audit_unchained
    with database.begin() as connection:
        series = connection.execute(_SERIES, {"study": connection.execute(_STUDY).scalar_one()}).scalar_one()
        unit = connection.execute(_UNIT, {"series": series, "uid": "1", "state": "open", "held": 3}).scalar_one()
        connection.execute(_UNIT, {"series": series, "uid": "2", "state": "complete", "held": 4})
        for state in ("current", "undecided", "equivalent"):
            connection.execute(_INSTANCE, {"unit": unit, "sha256": state, "state": state, "association": uuid4()})
        for revision, state in enumerate(JobState):
            token = str(uuid4()) if state is JobState.RUNNING else None
            values = {"key": state, "unit": unit, "revision": revision, "state": state, "token": token, "age": 100 + revision}
            job = connection.execute(_JOB, values).scalar_one()
        for number, state in enumerate(DeliveryState):
            report = connection.execute(_REPORT, {"job": job, "uid": f"1.{number}"}).scalar_one()
            token = str(uuid4()) if state is DeliveryState.SENDING else None
            for destination in ("one", "two")[: 1 + number % 2]:
                values = {"job": job, "report": report, "destination": destination, "state": state, "token": token, "age": 200 + number}
                connection.execute(_DELIVERY, values)
        connection.execute(text("INSERT INTO outbox (job_id, queue, model) VALUES (:job, 'q', 'm')"), {"job": job})
        connection.execute(
            text("INSERT INTO outbox (job_id, queue, model, published_at) VALUES (:job, 'q', 'm', node_now())"), {"job": job}
        )
        associations = text("""
            INSERT INTO associations (id, calling_ae, called_ae, address, listener, lease_until, closed_at, end_reason)
            VALUES (:open, 'A', 'B', '::1', 'l', node_now(), NULL, NULL), (:shut, 'A', 'B', '::1', 'l', node_now(), node_now(), 'lost')
        """)
        connection.execute(associations, {"open": uuid4(), "shut": uuid4()})
        quarantine = text("""
            INSERT INTO quarantine (sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, association_id, source)
            VALUES ('a', 10, '', 1, '', '', :id, ''), ('b', 32, '', 1, '', '', :id, '')
        """)
        connection.execute(quarantine, {"id": uuid4()})
        connection.execute(text("INSERT INTO audit_events (actor, action, subject, details) VALUES ('a', 'b', 'c', '{}')"))
    status = node_status(database)
    assert (status.instances, status.undecided, status.units_open) == (7, 1, 1)
    assert (status.associations_open, status.outbox_backlog) == (1, 1)
    assert (status.quarantine_items, status.quarantine_bytes) == (2, 42)
    assert status.audit_unchained == before + 1
    assert status.jobs == dict.fromkeys(JobState, 1)
    assert status.deliveries["one"] == dict.fromkeys(DeliveryState, 1)
    assert status.deliveries["two"] == {state: 1 for number, state in enumerate(DeliveryState) if number % 2}
    assert 100 <= status.oldest_queued_s < 700
    assert 201 <= status.oldest_delivery_s < 800  # the oldest of pending (200 s) and sending (201 s), not of what has ended


def test_heartbeats_with_their_ages(database: Database) -> None:
    add = text("INSERT INTO heartbeats (role, name, at, details) VALUES (:role, :name, node_now() - make_interval(secs => :age), :details)")
    with database.begin() as connection:
        connection.execute(add, {"role": "send", "name": "b:2", "age": 45, "details": '{"problem": "x"}'})
        connection.execute(add, {"role": "listen", "name": "a:1", "age": 0, "details": "{}"})
        connection.execute(add, {"role": "relay", "name": "old:3", "age": HEARTBEAT_HORIZON_S + 1, "details": "{}"})
    listen, send = node_status(database).heartbeats
    assert (listen.role, listen.name, send.role, send.name) == ("listen", "a:1", "send", "b:2")
    assert 0 <= listen.age_s < 45
    assert 45 <= send.age_s < 600
    assert send.details == {"problem": "x"}
