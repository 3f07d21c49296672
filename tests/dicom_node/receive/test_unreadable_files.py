"""A data set that the node cannot read at the moment is no fault of its sender, who is to try again."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.failpoints import set_watcher
from db.blobs.store import Blobs
from db.engine import Database
from db.listings.quarantine import list_quarantined
from dicom_node.receive.headers.header_check import ReceivedInstance
from dicom_node.receive.intake import Intake
from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.statuses import OUT_OF_RESOURCES, SUCCESS, StoreAnswer
from tests.dicom_node.conftest import MakeSettings
from tests.fuzz.seed_files import Seed, read_seed
from tests.support.records import Sender
from tests.support.series import encoded, image
from tests.support.transcode import transcode


@contextmanager
def no_more_files_from(failpoint: str) -> Iterator[None]:
    """From this failpoint on the process can open no file (EMFILE), until the block ends."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)

    def forbid(label: str, _subject: str) -> None:
        if label == failpoint:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, allowed[1]))

    set_watcher(forbid)
    try:
        yield
    finally:
        set_watcher(None)
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)


@pytest.mark.parametrize("kind", ["compressed", "text beyond ASCII"])
def test_while_no_file_can_be_opened_the_sender_is_told_to_try_again(
    kind: str, make_settings: MakeSettings, database: Database, blobs: Blobs
) -> None:
    made = transcode(image(), "rle") if kind == "compressed" else image(SpecificCharacterSet="ISO_IR 100", PatientName="Müller")
    seed, intake, association = read_seed(kind, encoded(made)), Intake(make_settings(), database, blobs), Sender(database).id

    def store(sent: Seed) -> StoreAnswer:
        spool = SpoolFile(blobs, DataSetIdentity(sent.sop_class, sent.sop_instance, sent.syntax), max_bytes=1 << 20)
        spool.write(sent.data_set)
        try:
            return intake.store(ReceivedInstance(sent.sop_class, "PACS", spool), lambda: association)
        finally:
            spool.discard()

    assert list_quarantined(database) == []  # and the pool has a connection
    with no_more_files_from("receive.whole"):
        answer = store(seed)
    assert (answer.status, answer.comment) == (OUT_OF_RESOURCES, "out of resources: the file cannot be read")
    assert list_quarantined(database) == []
    assert store(seed).status == SUCCESS
    intake.close()
