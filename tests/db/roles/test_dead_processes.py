"""Leases of killed processes of this host end when a process of the host starts."""

import os
import subprocess
import sys

from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases
from db.jobs.claim import claim_jobs
from db.roles import dead_processes, heartbeats
from tests.support.records import Sender, complete, plan, report_study, run, scalar


def ended_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_job_leases_of_dead_workers_end_immediately(database: Database) -> None:
    sender = Sender(database)
    dead = ended_process()
    for number, worker in enumerate((f"here:{dead}", f"here:{os.getppid()}", f"there:{dead}", "here", f"hereabouts:{dead}")):
        sender.send(1, series=f"1.7.{number}", study=f"1.6.{number}")
        complete(database, plan(), study=f"1.6.{number}")
        assert claim_jobs(database, worker=worker, priorities=None, models=None, lease_s=600)
    assert job_leases.reap_jobs(database, max_attempts=3) == 0
    assert dead_processes.expire_dead_job_leases(database, "here") == 1
    assert job_leases.reap_jobs(database, max_attempts=3) == 1
    assert scalar(database, "SELECT count(*) FROM jobs WHERE state = 'running'") == 4


def test_a_lease_of_the_same_process_number_belongs_to_a_dead_process(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    assert claim_jobs(database, worker=f"here:{os.getpid()}", priorities=None, models=None, lease_s=600), (
        "by a process that had this number before"
    )
    assert dead_processes.expire_dead_job_leases(database, "here") == 1


def test_delivery_leases_of_dead_senders_end_immediately(database: Database) -> None:
    report_study(database)
    assert delivery_leases.claim_deliveries(database, sender=f"here:{ended_process()}", lease_s=600, limit=8)
    assert delivery_leases.reap_deliveries(database) == 0
    assert dead_processes.expire_dead_delivery_leases(database, "here") == 1
    assert delivery_leases.reap_deliveries(database) == 1
    assert scalar(database, "SELECT state FROM deliveries") == "pending"


def test_heartbeats_of_dead_processes_are_deleted(database: Database) -> None:
    dead = ended_process()
    for role, name in (("send", f"here:{dead}"), ("worker", f"here:{os.getppid()}"), ("send", f"there:{dead}")):
        heartbeats.record_heartbeat(database, role, name, {})
    assert dead_processes.delete_dead_heartbeats(database, "here") == 1
    assert {beat.name for beat in heartbeats.alive_processes(database, 60)} == {f"here:{os.getppid()}", f"there:{dead}"}


def test_a_process_deletes_the_rows_of_dead_ones_that_it_replaces(database: Database) -> None:
    """Of its role and host only: a role of which no process is left keeps its row, so that it is reported as missing."""
    dead = ended_process()
    rows = (("send", f"here:{dead}"), ("relay", f"here:{dead}"), ("send", f"there:{dead}"), ("send", f"here:{os.getppid()}"))
    for role, name in rows:
        heartbeats.record_heartbeat(database, role, name, {})
    assert dead_processes.delete_replaced_heartbeats(database, "here", "send", "here:1") == 0  # renewed a moment ago
    run(database, "UPDATE heartbeats SET at = at - interval '10 seconds'")
    assert dead_processes.delete_replaced_heartbeats(database, "here", "send", "here:1") == 1
    assert {(beat.role, beat.name) for beat in heartbeats.alive_processes(database, 60)} == set(rows[1:])
