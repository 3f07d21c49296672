"""Leases of killed processes of this host end when another takes their place."""

import os
import subprocess
import sys

from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases
from db.jobs.claim import claim_jobs
from db.roles import dead_processes
from tests.support.records import Sender, claim, complete, finish, plan, scalar


def ended() -> int:
    """The number of a process that was."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_jobs_of_dead_workers_are_free_at_once(database: Database) -> None:
    sender = Sender(database)
    dead = ended()
    for number, worker in enumerate((f"here:{dead}", f"here:{os.getppid()}", f"there:{dead}", "here", f"hereabouts:{dead}")):
        sender.send(1, series=f"1.7.{number}", study=f"1.6.{number}")
        complete(database, plan(), study=f"1.6.{number}")
        assert claim_jobs(database, worker=worker, priorities=None, models=None, lease_s=600)
    assert job_leases.reap_jobs(database, max_attempts=3) == 0
    assert dead_processes.expire_dead_job_leases(database, "here") == 1
    assert job_leases.reap_jobs(database, max_attempts=3) == 1
    assert scalar(database, "SELECT count(*) FROM jobs WHERE state = 'running'") == 4


def test_a_process_that_has_just_started_holds_nothing(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    assert claim_jobs(database, worker=f"here:{os.getpid()}", priorities=None, models=None, lease_s=600), "by who had our number before"
    assert dead_processes.expire_dead_job_leases(database, "here") == 1


def test_deliveries_of_dead_senders_are_free_at_once(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    finish(database, claim(database))
    assert delivery_leases.claim_deliveries(database, sender=f"here:{ended()}", lease_s=600, limit=8)
    assert delivery_leases.reap_deliveries(database) == 0
    assert dead_processes.expire_dead_delivery_leases(database, "here") == 1
    assert delivery_leases.reap_deliveries(database) == 1
    assert scalar(database, "SELECT state FROM deliveries") == "pending"
