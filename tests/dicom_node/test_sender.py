"""Deliveries to a real SCP that takes, warns, refuses, hangs, or is not there."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.records import ReportObject
from core.settings import Settings
from core.states import Priority, ReportKind
from db import deliveries, jobs
from db.base import Database
from db.blobs import Blobs
from db.records import StoredObject
from dicom_node import sender
from dicom_node.transports import echo
from tests.dicom_node.conftest import MakeSettings
from tests.support.pacs import Pacs, running
from tests.support.records import Sender, claim, complete, identity, plan, prediction, timings
from tests.support.series import SR, encoded, image


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def destination(port: int, name: str = "pacs") -> dict[str, Any]:
    return {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": port, "accept_research": True}


@pytest.fixture
def make_report(database: Database, blobs: Blobs) -> Callable[..., str]:
    """A finished job with one SR for each destination; gives the SR's SOP Instance UID."""
    numbers = iter(range(1, 100))

    def make(*destinations: str, sop_class: str = SR, priority: Priority = Priority.ROUTINE) -> str:
        number = next(numbers)
        source = Sender(database)
        source.send(number, series=f"1.2.3.{number}", study=f"1.2.3.{number}")
        complete(database, plan(destinations=destinations, priority=priority), study=f"1.2.3.{number}")
        job = claim(database)
        made = image(number=number, sop_class=sop_class, Modality="SR")
        content = encoded(made)
        uid = str(made.SOPInstanceUID)
        report = ReportObject(ReportKind.SR, "default", sop_class, uid, str(made.SeriesInstanceUID), b"")
        stored = StoredObject(report, blobs.put(content), destinations)
        jobs.finish(database, job, prediction=prediction(), identity=identity(), objects=(stored,), timings=timings())
        return uid

    return make


@contextmanager
def sending(settings: Settings, database: Database, blobs: Blobs) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(settings, database, blobs, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(35)
        assert not thread.is_alive()


def states(database: Database) -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        found = connection.exec_driver_sql("SELECT destination, state, status, note, attempts FROM deliveries ORDER BY id")
        return [tuple(row) for row in found]


def wait_for(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


QUICK = {"retry_base_s": 0.2, "retry_cap_s": 0.5, "timeout_s": 2.0, "max_attempts": 50}


def test_stored_once_each_on_one_association(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    uids = [make_report("pacs") for _ in range(3)]
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: [row[1] for row in states(database)] == ["stored"] * 3)
        assert sorted(pacs.stored) == sorted(uids)
        assert (pacs.calls, pacs.associations) == (3, 1)
        with database.begin() as connection:
            assert {row[0] for row in connection.exec_driver_sql("SELECT state FROM jobs")} == {"delivered"}


def test_woken_by_the_commit(database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]) -> None:
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        time.sleep(2)
        make_report("pacs")
        wait_for(lambda: states(database)[0][1] == "stored", 5)


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (0xB000, "stored", "coerced"),
        (0xB007, "stored", "does not match"),
        (0x0111, "stored", "duplicate"),
        (0xA900, "held", "the patient or study that the archive holds"),
        (0xC123, "failed", "cannot understand: no thanks"),
        (0x0122, "failed", "not supported"),
    ],
)
def test_final_answers(
    database: Database,
    blobs: Blobs,
    make_settings: MakeSettings,
    make_report: Callable[..., str],
    status: int,
    state: str,
    words: str,
) -> None:
    make_report("pacs")
    comment = "no thanks" if state == "failed" else ""
    with (
        running(Pacs([status], comment=comment)) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][1] == state)
        ((_, _, kept, note, attempts),) = states(database)
        assert (kept, attempts) == (status, 1)
        assert words in note
        assert pacs.calls == 1


def test_out_of_resources_is_tried_again(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with (
        running(Pacs([0xA700, 0x0110, 0x0000])) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][1] == "stored")
        assert states(database)[0][4] == 3
    with database.begin() as connection:
        results = [row[0] for row in connection.exec_driver_sql("SELECT note FROM delivery_attempts ORDER BY number")]
    assert "out of resources" in results[0]
    assert "processing failure" in results[1]


def test_given_up_after_the_last_attempt(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    few = {**QUICK, "max_attempts": 2}
    with running(Pacs([0xA700])) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=few), database, blobs):
        wait_for(lambda: states(database)[0][1] == "failed")
        assert "given up after 2 attempts" in states(database)[0][3]
        assert pacs.calls == 2


def test_destination_that_comes_up_later(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    port = free_port()
    with sending(make_settings(destinations=[destination(port)], delivery=QUICK), database, blobs):
        wait_for(lambda: states(database)[0][4] >= 2)
        assert states(database)[0][1] in ("pending", "sending")
        with running(Pacs(), port=port) as pacs:
            wait_for(lambda: states(database)[0][1] == "stored")
            assert len(pacs.stored) == 1


def test_rejected_association_waits_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with (
        running(Pacs(), strict=True) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][4] >= 2 and states(database)[0][1] == "pending")
        assert "rejected the association" in states(database)[0][3]


def test_sop_class_that_is_not_accepted_fails_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    only_ct = ("1.2.840.10008.5.1.4.1.1.2",)
    with (
        running(Pacs(), classes=only_ct) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][1] == "failed")
        assert "accept" in states(database)[0][3]


def test_one_that_hangs_holds_up_nobody_else(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("slow", "pacs")
    with running(Pacs(hang_s=6.0)) as slow, running(Pacs()) as pacs:
        settings = make_settings(destinations=[destination(slow.port, "slow"), destination(pacs.port)], delivery=QUICK)
        with sending(settings, database, blobs):
            started = time.monotonic()
            wait_for(lambda: ("pacs", "stored") in [row[:2] for row in states(database)])
            assert time.monotonic() - started < 4
            wait_for(lambda: any(row[0] == "slow" and "no answer" in row[3] for row in states(database)), 20)


def test_destination_that_left_the_configuration_is_held(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("gone", "pacs")
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: {row[:2] for row in states(database)} == {("gone", "held"), ("pacs", "stored")})
        assert "'gone'" in next(row[3] for row in states(database) if row[0] == "gone")


def test_results_of_research_models_do_not_leave_for_a_destination_that_does_not_take_them(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("clinic", "pacs")
    with running(Pacs()) as clinic, running(Pacs()) as pacs:
        closed = destination(clinic.port, "clinic") | {"accept_research": False}
        with sending(make_settings(destinations=[closed, destination(pacs.port)], delivery=QUICK), database, blobs):
            wait_for(lambda: {row[:2] for row in states(database)} == {("clinic", "held"), ("pacs", "stored")})
        assert "accept_research is false" in next(row[3] for row in states(database) if row[0] == "clinic")
        assert (clinic.calls, pacs.calls) == (0, 1)


def test_missing_blob_waits_and_does_not_stop_the_others(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    (row,) = deliveries.claim(database, sender="test", lease_s=0.1, limit=1)
    blobs.remove(row.sha256)
    make_report("pacs")
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: states(database)[1][1] == "stored")
        wait_for(lambda: "cannot be read" in states(database)[0][3])
        assert len(pacs.stored) == 1


def test_echo_says_what_is_the_matter(make_settings: MakeSettings) -> None:
    with running(Pacs()) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)])
        ok, words, seconds = echo(settings, settings.destinations[0])
        assert (ok, words) == (True, "C-ECHO answered")
        assert seconds < 5
    with running(Pacs(), strict=True) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)])
        ok, words, _ = echo(settings, settings.destinations[0])
        assert not ok
        assert "rejected" in words
    settings = make_settings(destinations=[destination(free_port())])
    ok, words, _ = echo(settings, settings.destinations[0])
    assert not ok
    assert "no connection to PACS at 127.0.0.1" in words


def test_retry_grows_and_is_capped(make_settings: MakeSettings) -> None:
    rules = make_settings(delivery={"retry_base_s": 1.0, "retry_cap_s": 60.0}).delivery
    for attempt, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (20, 60.0), (5000, 60.0)):
        waits = {sender.retry_in_s(attempt, rules) for _ in range(50)}
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(waits) > 1
