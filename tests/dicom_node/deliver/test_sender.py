"""Deliveries to a real SCP that takes, warns, refuses, hangs, or is not there."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import structlog

from core.states import Priority
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.engine import Database
from db.operations.status import node_status
from deploy.local.ports import free_port
from dicom_node.deliver.transports import echo
from dicom_node.role import retry_in_s
from tests.dicom_node.conftest import MakeSettings
from tests.support.send_role import QUICK, destination, sending, states, wait_for
from tests.support.storage_scp import Pacs, running


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
        (0xA900, "held", "the patient or study that the archive holds: no thanks"),
        (0xA778, "held", "the patient ID differs from that of the study in the archive: no thanks"),
        (0xA770, "stored", "already there"),
        (0xC123, "failed", "cannot understand: no thanks"),
        (0x0122, "failed", "not supported"),
    ],
)
def test_final_answers(
    database: Database,
    blobs: Blobs,
    make_settings: MakeSettings,
    make_report: Callable[..., str],
    capfd: pytest.CaptureFixture[str],
    status: int,
    state: str,
    words: str,
) -> None:
    structlog.reset_defaults()  # a command that ran in this process may have bound the log to a stream of its own
    make_report("pacs")
    with (
        running(Pacs([status], comment="" if state == "stored" else "no thanks")) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][1] == state)
        ((_, _, kept, note, attempts),) = states(database)
        assert (kept, attempts) == (status, 1)
        assert words in note
        assert pacs.calls == 1
    said = capfd.readouterr()
    assert f"{status:04X}" in said.out + said.err
    assert "no thanks" not in said.out + said.err  # it may name the patient


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


def test_a_destination_that_is_away_is_probed_and_drained_in_order_urgent_first(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    routine = [make_report("pacs") for _ in range(10)]  # more than one claim
    port = free_port()
    rules = {**QUICK, "max_attempts": 1}
    with sending(make_settings(destinations=[destination(port)], delivery=rules), database, blobs):
        wait_for(lambda: "no connection" in states(database)[0][3])
        urgent = make_report("pacs", priority=Priority.URGENT)
        time.sleep(2.0)  # several probes: no attempt is used up, or the one that there is would be gone
        assert {row[1] for row in states(database)} == {"pending"}
        assert {row[4] for row in states(database)} == {0}
        wait_for(lambda: node_status(database).away_s["pacs"] > 0)
        with running(Pacs(), port=port) as pacs:
            wait_for(lambda: {row[1] for row in states(database)} == {"stored"}, 30)
            assert list(pacs.stored) == [urgent, *routine]
            wait_for(lambda: node_status(database).away_s["pacs"] == 0)
    with database.begin() as connection:
        told = [
            row[0] for row in connection.exec_driver_sql("SELECT action FROM audit_events WHERE action LIKE 'destination.%%' ORDER BY id")
        ]
        tries = connection.exec_driver_sql("SELECT count(*) FROM delivery_attempts").scalar_one()
    assert told == ["destination.away", "destination.back"]
    assert tries <= 11 + 8, "the objects were not tried again and again"


def test_rejected_association_waits_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with (
        running(Pacs(), strict=True) as pacs,
        sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs),
    ):
        wait_for(lambda: states(database)[0][1] == "pending" and "rejected the association" in states(database)[0][3])


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


def test_one_object_that_breaks_the_association_does_not_keep_back_the_others(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    poison, *others = [make_report("pacs") for _ in range(4)]
    pacs = Pacs(aborts_at=poison)
    with running(pacs), sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: [row[1] for row in states(database)][1:] == ["stored"] * 3, 30)
        assert sorted(pacs.stored) == sorted(others)
        assert "the association" in states(database)[0][3]


def test_an_object_that_cannot_be_read_fails_alone(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    for _ in range(3):
        make_report("pacs")
    with database.begin() as connection:
        nonsense = {"sha256": blobs.put(b"no DICOM at all").sha256}
        connection.exec_driver_sql("UPDATE reports SET sha256 = %(sha256)s WHERE id = (SELECT min(id) + 1 FROM reports)", nonsense)
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: [row[1] for row in states(database)] == ["stored", "failed", "stored"], 30)
        assert "cannot be read" in states(database)[1][3]
        assert len(pacs.stored) == 2


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
    (row,) = delivery_leases.claim(database, sender="test", lease_s=0.1, limit=1)
    blobs.remove(row.sha256)
    make_report("pacs")
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: states(database)[1][1] == "stored")
        wait_for(lambda: "cannot be read" in states(database)[0][3])
        assert len(pacs.stored) == 1


def test_slow_objects_do_not_cost_those_behind_them_their_lease(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    for _ in range(4):
        make_report("pacs")
    with running(Pacs(hang_s=1.2)) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)], delivery={**QUICK, "timeout_s": 10.0, "lease_s": 2.5})
        with sending(settings, database, blobs):
            wait_for(lambda: [row[1] for row in states(database)] == ["stored"] * 4, 30)
        assert pacs.calls == 4, "each once: together they take twice the lease"
    with database.begin() as connection:
        results = connection.exec_driver_sql("SELECT DISTINCT result FROM delivery_attempts").scalars().all()
    assert results == ["stored"]


def test_what_a_killed_sender_held_is_due_when_the_next_one_starts(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert delivery_leases.claim(database, sender=f"{socket.gethostname()}:{ended.pid}", lease_s=600, limit=8)
    with running(Pacs()) as pacs, sending(make_settings(destinations=[destination(pacs.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: states(database)[0][1] == "stored")


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
        waits = {retry_in_s(attempt, rules) for _ in range(50)}
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(waits) > 1
