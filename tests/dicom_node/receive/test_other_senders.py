"""While one association's costly input is read, other senders are served: no lock is held, and the reading is in another process.

How long they take meanwhile is measured by ``make bench SECTION=receive_others``; here, the order of events is tested.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from core.settings.settings import Settings
from dicom_node.line_process.parent import LineProcess
from imaging.limits.work_budget import QUICK, WorkBudget
from tests.dicom_node.conftest import MakeSettings, Running
from tests.fuzz.costly_datasets import costly_datasets
from tests.fuzz.raw_association import RawConnection, associate_rq, context, store
from tests.support.records import rows
from tests.support.series import image
from tests.support.storage_scu import send


def test_an_input_in_the_middle_of_its_reading_stops_no_other_sender(
    start: Callable[[Settings], Running], make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that reads it does not get its request before five instances of another association are stored."""
    within, go_on = threading.Event(), threading.Event()
    ask, add_element, counted_here = LineProcess.ask, WorkBudget.add_element, list[int]()

    def held_ask(self: LineProcess, request: dict[str, Any]) -> dict[str, Any]:
        within.set()
        assert go_on.wait(600)
        return ask(self, request)

    def noted_add_element(self: WorkBudget) -> None:
        counted_here.append(1)
        add_element(self)

    monkeypatch.setattr(LineProcess, "ask", held_ask)
    monkeypatch.setattr(WorkBudget, "add_element", noted_add_element)
    node = start(make_settings())
    costly = next(seed for seed, _ in costly_datasets(0.05) if seed.name == "empty elements")
    answers: list[int] = []

    def send_costly() -> None:
        with RawConnection(node.port) as peer:
            peer.send(associate_rq([context(1, costly.sop_class.encode(), [costly.syntax.encode()])]))
            peer.receive(600)
            peer.send(store(1, costly.sop_class.encode(), costly.sop_instance.encode(), costly.data_set))
            peer.receive(600)
            answers.extend(peer.response.statuses)

    sender = threading.Thread(target=send_costly)
    sender.start()
    try:
        assert within.wait(600)
        assert send(node.port, *(image(number=number) for number in range(1, 6))) == [0x0000] * 5
        assert rows(node.database, "SELECT count(*) FROM instances") == [(5,)]
        assert answers == []
    finally:
        go_on.set()
        sender.join(600)
    assert answers == [0xC000]
    assert len(counted_here) <= QUICK.elements + 1
