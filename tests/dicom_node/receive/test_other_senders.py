"""While one association's costly input is read, other senders are served: no lock is held across the parse of untrusted input.

How long they take meanwhile is measured by ``make bench SECTION=receive_others``; here, work is counted.
"""

import threading
from collections.abc import Callable

import pytest

from core.settings.settings import Settings
from imaging.limits.work_budget import MAX_ITEMS, WorkBudget
from tests.dicom_node.conftest import MakeSettings, Running
from tests.fuzz.costly_datasets import costly_datasets
from tests.fuzz.raw_association import RawConnection, associate_rq, context, store
from tests.support.records import rows
from tests.support.series import image
from tests.support.storage_scu import send

HELD_AT = MAX_ITEMS // 2


def test_an_input_in_the_middle_of_its_reading_stops_no_other_sender(
    start: Callable[[Settings], Running], make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading is stopped at its 15,000th item; then five instances of another association are stored, and it goes on."""
    within, go_on = threading.Event(), threading.Event()
    add_item, counts = WorkBudget.add_item, []

    def held_add_item(self: WorkBudget) -> None:
        if self.items == HELD_AT:
            within.set()
            assert go_on.wait(600)
        try:
            add_item(self)
        finally:
            counts.append(self.items)

    monkeypatch.setattr(WorkBudget, "add_item", held_add_item)
    node = start(make_settings())
    costly = next(seed for seed, _ in costly_datasets(0.05) if seed.name == "empty items")
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
    assert max(counts) == len(counts) == MAX_ITEMS + 1  # each item was counted once, and the first one over the limit ended the reading
