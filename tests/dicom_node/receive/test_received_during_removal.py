"""Content that is received while its file is being removed has its file when the sender gets Success, whichever comes first."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from core.failpoints import set_watcher
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.listings.quarantine import list_quarantined
from dicom_node.receive.headers.header_check import ReceivedInstance
from dicom_node.receive.intake import Intake
from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.statuses import SUCCESS
from imaging.wire import part10
from tests.dicom_node.conftest import MakeSettings
from tests.support.node_process import wait_until
from tests.support.records import Sender, run, scalar
from tests.support.series import CT, DERMOSCOPY, encoded, image

EXPLICIT = "1.2.840.10008.1.2.1"
REFUSED = 0xA900  # its SOP class is not that of the presentation context


class WatchedBlobs(Blobs):
    """Blobs that call ``before_removal`` before each removal."""

    before_removal: Callable[[], None] = staticmethod(lambda: None)

    def remove(self, sha256: str) -> None:
        self.before_removal()
        super().remove(sha256)


class Reception:
    """Two listeners with one blob folder, and senders of one CT image and of others that fill the quarantine."""

    def __init__(self, settings: Settings, database: Database, root: Path) -> None:
        self.settings, self.database = settings, database
        self.blobs = WatchedBlobs(root)
        self.intakes = [Intake(settings, database, self.blobs) for _ in range(2)]
        self.association = Sender(database).id
        self.hashes: list[str] = []

    def send(self, *, number: int = 1, context: str = CT, intake: int = 0) -> int:
        """Send an image in a presentation context; return the status of the answer."""
        dataset = image(number=number)
        content = encoded(dataset)
        spool = SpoolFile(self.blobs, DataSetIdentity(CT, dataset.SOPInstanceUID, EXPLICIT), max_bytes=1 << 20)
        spool.write(content[part10.data_set_offset(content) :])
        try:
            answer = self.intakes[intake].store(ReceivedInstance(context, "PACS", spool), lambda: self.association)
        finally:
            spool.discard()
        self.hashes.append(spool.sha256)
        return answer.status

    def missing(self) -> list[str]:
        """Return the hashes of instances and quarantined data sets that have no file."""
        hashes = scalar(self.database, "SELECT array_agg(sha256) FROM (SELECT sha256 FROM instances UNION SELECT sha256 FROM quarantine) s")
        return [sha256 for sha256 in hashes or [] if not self.blobs.has(sha256)]  # type: ignore[attr-defined]

    def during_removal(self, event: str, send: Callable[[], int]) -> Callable[[], int]:
        """Have ``send`` run in another thread during the next removal, at least until ``event``; its status is returned later."""
        reached, statuses = threading.Event(), []

        def work() -> None:
            try:
                statuses.append(send())
            finally:
                reached.set()

        thread = threading.Thread(target=work)

        def begin() -> None:
            self.blobs.before_removal = lambda: None
            set_watcher(lambda label, _subject: reached.set() if label == event else None)
            thread.start()
            assert reached.wait(600)

        self.blobs.before_removal = begin

        def status() -> int:
            thread.join(600)
            return statuses[0]

        return status


@pytest.fixture
def reception(database: Database, make_settings: MakeSettings, tmp_path: Path) -> Iterator[Reception]:
    """Room for one image in the quarantine."""
    made = Reception(make_settings(receive={"quarantine_max_bytes": 1500}), database, tmp_path / "data" / "blobs")
    yield made
    set_watcher(None)
    for intake in made.intakes:
        intake.close()


def test_what_a_full_quarantine_drops_is_admitted_at_that_moment(reception: Reception) -> None:
    assert reception.send(context=DERMOSCOPY) == REFUSED
    status = reception.during_removal("receive.committed", lambda: reception.send(intake=1))
    assert reception.send(number=2, context=DERMOSCOPY) == REFUSED  # the quarantine holds one image: the first one is dropped
    assert status() == SUCCESS
    assert scalar(reception.database, "SELECT count(*) FROM instances") == 1
    assert reception.missing() == []
    assert removals.find_requested(reception.database, reception.hashes) == set()


def test_what_a_full_quarantine_drops_is_refused_again_at_that_moment(reception: Reception) -> None:
    assert reception.send(context=DERMOSCOPY) == REFUSED
    status = reception.during_removal("blob.fsynced", lambda: reception.send(context=DERMOSCOPY, intake=1))
    assert reception.send(number=2, context=DERMOSCOPY) == REFUSED
    assert status() == REFUSED
    assert reception.missing() == []
    removals.remove_blobs(reception.database, reception.blobs)
    assert len(list_quarantined(reception.database, 10)) == 1
    assert reception.missing() == []
    assert sum(reception.blobs.has(sha256) for sha256 in set(reception.hashes)) == 1  # no file without a row


@pytest.mark.parametrize("at", ["blob.fsynced", "receive.synced"])
def test_content_whose_file_is_removed_between_its_sync_and_its_commit(reception: Reception, at: str) -> None:
    """The row of a report, which no instance had, no longer needs the same bytes: the removal cannot see the new row yet."""
    reception.send(context=DERMOSCOPY)  # its file is there before
    run(reception.database, "DELETE FROM quarantine")
    with reception.database.begin() as connection:
        removals.request_removals(connection, [(reception.hashes[0], 1)])

    def remove(label: str, _subject: str) -> None:
        if label == at:
            set_watcher(None)
            removals.remove_blobs(reception.database, reception.blobs)

    set_watcher(remove)
    assert reception.send() == SUCCESS
    assert reception.missing() == []
    assert removals.remove_blobs(reception.database, reception.blobs) == 0
    assert reception.missing() == []


def test_a_data_set_is_readmitted_while_the_quarantine_drops_it(reception: Reception) -> None:
    assert reception.send(number=3) == SUCCESS
    reception.send(context=DERMOSCOPY)
    (item,) = list_quarantined(reception.database, 10)
    readmission = threading.Thread(target=reception.intakes[0].readmit, args=(item.id,), kwargs={"actor": "cli:ann"})
    with reception.database.begin() as connection:
        connection.execute(text("SELECT id FROM units FOR UPDATE"))
        readmission.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until("the admission to wait for the unit", lambda: scalar(reception.database, waiting))
        reception.send(number=2, context=DERMOSCOPY, intake=1)
        assert not reception.blobs.has(item.sha256)
    readmission.join(600)
    assert scalar(reception.database, "SELECT count(*) FROM instances") == 2
    assert reception.missing() == []


def test_marks_of_removals_are_forgotten(reception: Reception) -> None:
    reception.send(context=DERMOSCOPY)
    reception.send(number=2, context=DERMOSCOPY)
    assert removals.find_requested(reception.database, reception.hashes) == {reception.hashes[0]}
    run(reception.database, "UPDATE blob_removals SET removed_at = removed_at - interval '2 hours'")
    assert removals.remove_blobs(reception.database, reception.blobs) == 0
    assert removals.find_requested(reception.database, reception.hashes) == set()
