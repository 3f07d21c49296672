"""Damaged instances in a worker: each gets a result or a reason, and the child process does not end.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` select another or a longer run: ``make fuzz SEED=7 N=10000``.
"""

import io
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from core.errors import CannotUnderstand
from core.records import CompletionEvidence
from core.states import Priority, UnitKind
from db.blobs.store import Blobs
from db.complete import units
from db.complete.completion import complete_unit
from db.engine import Database
from db.jobs.job_records import JobPlan
from db.receive import admission
from db.receive.associations import open_association
from imaging.headers.instance_header import read_header
from imaging.wire.part10 import encode_head
from models import registry
from tests.fuzz.inputs import all_seeds, with_new_uid
from tests.fuzz.mutations import mutate
from tests.fuzz.reading_process import slices
from tests.fuzz.seed_files import Seed, chest_series
from tests.support.node_process import wait_until
from tests.support.queued_jobs import SKIN, configure, server_url_variables
from tests.support.records import scalar
from workers.queue import relay

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "240")) // 16
MEMORY_BYTES = 12 << 30  # of address space, most of which torch only reserves
RSS_MIB = 200.0
COLOURED = ("photograph", "VL1_J2KI.dcm", "JPEGwithIcon.dcm")


@pytest.fixture
def worker(tmp_path: Path, database: Database, database_url: str, broker_url: str) -> Iterator[psutil.Process]:
    """Run ``dicom-node worker`` with one child, and the relay in this process."""
    settings = configure(tmp_path, database_url, broker_url)
    stop = threading.Event()
    waking = threading.Thread(target=relay.run, args=(settings, database, stop))
    waking.start()
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "worker", "--config", str(tmp_path / "node.toml")],
            env={**os.environ, **server_url_variables(database_url, broker_url)},
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        )
    try:
        yield psutil.Process(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0
    finally:
        process.kill()
        process.wait(600)
        stop.set()
        waking.join(600)


@pytest.mark.timeout(7200)
def test_each_instance_gets_a_result_or_a_reason(tmp_path: Path, database: Database, worker: psutil.Process) -> None:
    blobs, rng = Blobs(tmp_path / "data" / "blobs"), random.Random(SEED)
    seeds = [one for one in all_seeds() if one.name.startswith(COLOURED)] + slices(chest_series(tmp_path / "series"))[:2]
    first = queue(database, blobs, [replace(with_new_uid(seeds[0], 0), name="whole")])
    wait_until("the whole photograph", lambda: not unfinished(database), timeout_s=600)
    assert first == 1
    (child,) = worker.children()
    before = child.memory_info().rss / (1 << 20)
    admitted = 1
    for number in range(1, COUNT):
        chosen = with_new_uid(rng.choice(seeds), number)
        admitted += queue(database, blobs, [replace(chosen, data_set=mutate(chosen.data_set, rng))])
    wait_until(f"{admitted} jobs to end", lambda: not unfinished(database), timeout_s=600 + 4 * COUNT)
    failed = rows(database, "SELECT error, count(*) FROM attempts WHERE result = 'failed' GROUP BY 1")
    states = Counter(dict(rows(database, "SELECT state || ' ' || outcome, count(*) FROM jobs GROUP BY 1")))
    assert set(states) <= {"reported not_analysed", "reported abstained", "reported findings", "reported no_finding"}, (states, failed)
    assert scalar(database, "SELECT count(*) FROM jobs WHERE attempts <> 1") == 0, "an attempt was repeated or lost"
    assert scalar(database, "SELECT count(*) FROM jobs WHERE outcome = 'not_analysed' AND reason = ''") == 0
    assert scalar(database, "SELECT count(*) FROM reports WHERE kind = 'sr'") == admitted
    assert [one.pid for one in worker.children()] == [child.pid], "the child was replaced"
    after = child.memory_info().rss / (1 << 20)
    assert after <= before + RSS_MIB, f"memory of the child: {before:.0f} to {after:.0f} MiB"
    print(f"seed {SEED}: {admitted} of {COUNT} were admitted; {dict(states)}; the child {before:.0f} to {after:.0f} MiB")


def rows(database: Database, query: str) -> list[tuple[str, int]]:
    with database.begin() as connection:
        return [(str(row[0]), int(row[1])) for row in connection.exec_driver_sql(query)]


def unfinished(database: Database) -> object:
    return scalar(database, "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running') OR failure_state IS NOT NULL")


def queue(database: Database, blobs: Blobs, seeds: list[Seed]) -> int:
    """Admit and queue instances as listener and conductor do; return how many were admitted."""
    admitted = 0
    for one in seeds:
        content = encode_head(sop_class_uid=one.sop_class, sop_instance_uid=one.sop_instance, transfer_syntax_uid=one.syntax) + one.data_set
        try:
            header = read_header(io.BytesIO(content))
        except CannotUnderstand:
            continue
        association = uuid4()
        names = {"calling_ae": "PACS", "called_ae": "DICOMNODE", "address": "127.0.0.1", "listener": "fuzz"}
        open_association(database, id=association, lease_s=600, **names)
        unit_id = admission.admit_instance(
            database, header=header, blob=blobs.put(content), kind=UnitKind.IMAGE, association_id=association, source="PACS"
        ).unit_id
        (unit,) = [unit for unit in units.units_of_study(database, header.study_instance_uid) if unit.id == unit_id]
        plan = JobPlan(SKIN, registry.card(SKIN).version, registry.pipeline_digest(SKIN), ("skin",), ("pacs",), Priority.ROUTINE)
        evidence = CompletionEvidence("photograph", "one image", database.now(), 1)
        made = complete_unit(database, unit, evidence=evidence, plans=(plan,), routes=("skin",), selected=None, reason="")
        admitted += len(made or ())
    return admitted
