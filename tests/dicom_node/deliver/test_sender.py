"""Deliveries to a real SCP that accepts, warns, refuses, hangs, or is unreachable."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from core.states import Priority
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.notify import ChannelListener
from db.operations.status import node_status
from deploy.local.ports import free_port
from dicom_node.deliver import destination_worker, outage, sender
from dicom_node.deliver.transports import echo
from dicom_node.retry_delay import retry_delay_s
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import run, scalar
from tests.support.send_role import QUICK_RETRIES, delivery_states, destination, running_sender, wait_for
from tests.support.storage_scp import Pacs, running


def test_stored_once_each_on_one_association(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    uids = [make_report("pacs") for _ in range(3)]
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: [row[1] for row in delivery_states(database)] == ["stored"] * 3)
        assert sorted(pacs.stored) == sorted(uids)
        assert (pacs.calls, pacs.associations) == (3, 1)
        with database.begin() as connection:
            assert {row[0] for row in connection.exec_driver_sql("SELECT state FROM jobs")} == {"delivered"}


def test_woken_by_the_commit(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without polling: only the notification of the commit makes the sender look for deliveries."""
    over, waits, wait = threading.Event(), list[set[str]](), ChannelListener.wait

    def wait_for_notification(waiter: ChannelListener, _timeout_s: float) -> set[str]:
        while not over.is_set():
            if channels := wait(waiter, 0.1):
                waits.append(channels)
                return channels
        return set()

    monkeypatch.setattr(ChannelListener, "wait", wait_for_notification)
    monkeypatch.setattr(destination_worker, "POLL_INTERVAL_S", 3600.0)
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: bool(waits))  # the first wait returns at once: it has connected
        make_report("pacs")
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
        over.set()


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
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == state)
        ((_, _, kept, note, attempts),) = delivery_states(database)
        assert (kept, attempts) == (status, 1)
        assert words in note
        assert pacs.calls == 1
    said = capfd.readouterr()
    assert f"{status:04X}" in said.out + said.err
    assert "no thanks" not in said.out + said.err  # it may name the patient


def test_transient_errors_are_retried(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with (
        running(Pacs([0xA700, 0x0110, 0x0000])) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
        assert delivery_states(database)[0][4] == 3
    with database.begin() as connection:
        results = [row[0] for row in connection.exec_driver_sql("SELECT note FROM delivery_attempts ORDER BY number")]
    assert "out of resources" in results[0]
    assert "processing failure" in results[1]


def test_an_answer_that_takes_longer_than_the_lease_is_recorded(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_report("pacs")
    monkeypatch.setattr(sender, "REAP_EVERY_S", 0.0)
    reaped, reap = threading.Semaphore(0), delivery_leases.reap_deliveries

    def count_reaping(of: Database) -> int:
        count = reap(of)
        reaped.release()
        return count

    monkeypatch.setattr(delivery_leases, "reap_deliveries", count_reaping)
    answers = threading.Event()
    with (
        running(Pacs(answers_after=answers)) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery={**QUICK_RETRIES, "lease_s": 0.2}), database, blobs),
    ):
        wait_for(lambda: pacs.calls == 1)
        over = "SELECT EXISTS (SELECT FROM delivery_attempts WHERE started_at < node_now() - interval '0.2 seconds')"
        wait_for(lambda: bool(scalar(database, over)))
        while reaped.acquire(blocking=False):
            pass
        for _ in range(2):  # one of them began after the lease of 0.2 s
            assert reaped.acquire(timeout=600)
        answers.set()
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
        assert (pacs.calls, delivery_states(database)[0][4]) == (1, 1)


def test_fails_permanently_after_the_last_attempt(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    few = {**QUICK_RETRIES, "max_attempts": 2}
    with (
        running(Pacs([0xA700])) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=few), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "failed")
        assert "failed after 2 attempts" in delivery_states(database)[0][3]
        assert pacs.calls == 2


def test_an_unreachable_destination_is_probed_and_then_receives_everything_urgent_first(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    routine = [make_report("pacs") for _ in range(10)]  # more than one claim
    port, probes = free_port(), list[bool]()

    def probe(*arguments: Any) -> tuple[bool, str, float]:
        answer = echo(*arguments)
        probes.append(answer[0])
        return answer

    monkeypatch.setattr(outage, "echo", probe)
    rules = {**QUICK_RETRIES, "max_attempts": 1}
    with running_sender(make_settings(destinations=[destination(port)], delivery=rules), database, blobs):
        wait_for(lambda: "no connection" in delivery_states(database)[0][3])
        urgent = make_report("pacs", priority=Priority.URGENT)
        probed = len(probes)
        wait_for(lambda: len(probes) >= probed + 3)  # no attempt is used up, or the one that there is would be gone
        assert {row[1] for row in delivery_states(database)} == {"pending"}
        assert {row[4] for row in delivery_states(database)} == {0}
        wait_for(lambda: node_status(database).away_s["pacs"] > 0)
        with running(Pacs(), port=port) as pacs:
            wait_for(lambda: {row[1] for row in delivery_states(database)} == {"stored"})
            assert list(pacs.stored) == [urgent, *routine]
            wait_for(lambda: node_status(database).away_s["pacs"] == 0)
    with database.begin() as connection:
        audited = [
            row[0] for row in connection.exec_driver_sql("SELECT action FROM audit_events WHERE action LIKE 'destination.%%' ORDER BY id")
        ]
        tries = connection.exec_driver_sql("SELECT count(*) FROM delivery_attempts").scalar_one()
    assert audited == ["destination.away", "destination.back"]
    assert tries <= 11 + 8, "the objects were not sent repeatedly"


def test_rejected_association_waits_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with (
        running(Pacs(), strict=True) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "pending" and "rejected the association" in delivery_states(database)[0][3])


def test_sop_class_that_is_not_accepted_fails_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    only_ct = ("1.2.840.10008.5.1.4.1.1.2",)
    with (
        running(Pacs(), classes=only_ct) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "failed")
        assert "accept" in delivery_states(database)[0][3]


def test_a_destination_that_hangs_does_not_delay_the_others(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    """``slow`` answers only once ``pacs`` has stored its object."""
    make_report("slow", "pacs")
    answer_now = threading.Event()
    with running(Pacs(answers_after=answer_now)) as slow, running(Pacs()) as pacs:
        settings = make_settings(destinations=[destination(slow.port, "slow"), destination(pacs.port)], delivery=QUICK_RETRIES)
        with running_sender(settings, database, blobs):
            wait_for(lambda: slow.calls == 1)
            wait_for(lambda: ("pacs", "stored") in [row[:2] for row in delivery_states(database)])
            answer_now.set()
            wait_for(lambda: ("slow", "stored") in [row[:2] for row in delivery_states(database)])


def test_a_destination_that_does_not_answer_is_waited_for_until_the_time_out(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    never = threading.Event()
    with running(Pacs(answers_after=never)) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)], delivery={**QUICK_RETRIES, "timeout_s": 2.0})
        with running_sender(settings, database, blobs):
            wait_for(lambda: "no answer" in delivery_states(database)[0][3])
        never.set()


def test_an_object_that_breaks_the_association_does_not_delay_the_others(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    aborted, *others = [make_report("pacs") for _ in range(4)]
    pacs = Pacs(aborts_at=aborted)
    with running(pacs), running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs):
        wait_for(lambda: [row[1] for row in delivery_states(database)][1:] == ["stored"] * 3)
        assert sorted(pacs.stored) == sorted(others)
        assert "the association" in delivery_states(database)[0][3]


def test_an_object_that_cannot_be_read_fails_alone(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    for _ in range(3):
        make_report("pacs")
    with database.begin() as connection:
        nonsense = {"sha256": blobs.put(b"no DICOM at all").sha256}
        connection.exec_driver_sql("UPDATE reports SET sha256 = %(sha256)s WHERE id = (SELECT min(id) + 1 FROM reports)", nonsense)
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: [row[1] for row in delivery_states(database)] == ["stored", "failed", "stored"])
        assert "cannot be read" in delivery_states(database)[1][3]
        assert len(pacs.stored) == 2


def test_destination_that_left_the_configuration_is_held(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("gone", "pacs")
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: {row[:2] for row in delivery_states(database)} == {("gone", "held"), ("pacs", "stored")})
        assert "'gone'" in next(row[3] for row in delivery_states(database) if row[0] == "gone")


def test_results_of_research_models_are_held_for_a_destination_that_does_not_accept_them(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("clinic", "pacs")
    with running(Pacs()) as clinic, running(Pacs()) as pacs:
        closed = destination(clinic.port, "clinic") | {"accept_research": False}
        with running_sender(make_settings(destinations=[closed, destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs):
            wait_for(lambda: {row[:2] for row in delivery_states(database)} == {("clinic", "held"), ("pacs", "stored")})
        assert "accept_research is false" in next(row[3] for row in delivery_states(database) if row[0] == "clinic")
        assert (clinic.calls, pacs.calls) == (0, 1)


def test_what_a_removed_destination_has_not_committed_is_held(
    database: Database, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    for _ in range(2):
        make_report("gone")
    for delivery in delivery_leases.claim_deliveries(database, sender="test", lease_s=60, limit=2):
        record_stored(database, delivery, status=0, commit=True)
    run(database, "UPDATE jobs SET state = 'superseded' WHERE id = (SELECT min(id) FROM jobs)")
    sender.DeliveryUpkeep(make_settings(destinations=[destination(104)]), database).run_due()
    assert [row[1] for row in delivery_states(database)] == ["stored", "held"]
    assert "not committed, and no [[destinations]] is named 'gone'" in delivery_states(database)[1][3]
    assert scalar(database, "SELECT bool_or(commit_wanted) FROM deliveries") is False
    assert len(retry_deliveries(database, [2], "cli:ann")) == 1, "once it is configured again"


def test_a_missing_blob_does_not_delay_the_others(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    (row,) = delivery_leases.claim_deliveries(database, sender="test", lease_s=0.1, limit=1)
    blobs.remove(row.sha256)
    make_report("pacs")
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[1][1] == "stored")
        wait_for(lambda: "cannot be read" in delivery_states(database)[0][3])
        assert len(pacs.stored) == 1


def test_leases_are_renewed_while_slow_objects_are_sent(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    for _ in range(4):
        make_report("pacs")
    with running(Pacs(hang_s=4.0)) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)], delivery={**QUICK_RETRIES, "lease_s": 15.0})
        with running_sender(settings, database, blobs):
            wait_for(lambda: [row[1] for row in delivery_states(database)] == ["stored"] * 4)
        assert pacs.calls == 4, "each once: together they take longer than the lease"
    with database.begin() as connection:
        results = connection.exec_driver_sql("SELECT DISTINCT result FROM delivery_attempts").scalars().all()
    assert results == ["stored"]


def test_deliveries_of_a_killed_sender_are_due_when_the_next_one_starts(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    make_report("pacs")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert delivery_leases.claim_deliveries(database, sender=f"{socket.gethostname()}:{ended.pid}", lease_s=600, limit=8)
    with (
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "stored")


def test_echo_describes_the_problem(make_settings: MakeSettings) -> None:
    with running(Pacs()) as pacs:
        settings = make_settings(destinations=[destination(pacs.port)])
        ok, words, seconds = echo(settings, settings.destinations[0])
        assert (ok, words) == (True, "C-ECHO answered")
        assert seconds > 0
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
        waits = {retry_delay_s(attempt, rules) for _ in range(50)}
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(waits) > 1
