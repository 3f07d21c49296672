"""The archive corrected patient or study since the images were sent: it refuses what says otherwise, and the result is held.

The archive is an SCP of ours that compares with what it holds. Orthanc cannot be made to refuse: what a script of its own filters
out (1.10.1, C-STORE as well as STOW-RS) is answered with success and dropped, which only storage commitment finds out.
"""

from collections.abc import Callable

import pytest

from db import deliveries
from db.base import Database
from db.blobs import Blobs
from tests.dicom_node.conftest import MakeSettings
from tests.support.delivering import QUICK, destination, sending, states, wait_for
from tests.support.pacs import Pacs, running
from tests.support.records import scalar
from tests.support.series import ROOT

STUDY, AS_SENT = f"{ROOT}.1", ("TEST1", "ACC1")


@pytest.mark.parametrize("corrected", [("MERGED", "ACC1"), ("TEST1", "CORRECTED")])
def test_a_result_of_what_was_corrected_meanwhile_is_held_with_the_reason(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], corrected: tuple[str, str]
) -> None:
    uid = make_report("pacs")  # from the images as they were before
    archive = Pacs(studies={STUDY: corrected}, comment="patient differs")
    with running(archive), sending(make_settings(destinations=[destination(archive.port)], delivery=QUICK), database, blobs):
        wait_for(lambda: states(database)[0][1] == "held")
        ((_, _, status, note, attempts),) = states(database)
        assert (status, attempts, archive.stored) == (0xA900, 1, {})
        assert "or the patient or study that the archive holds" in note
        assert "patient differs" in note
        assert scalar(database, "SELECT state FROM jobs") == "reported"  # never delivered, and shown as held
        archive.studies[STUDY] = AS_SENT  # the correction was taken back there
        (id,) = (row["delivery_id"] for row in deliveries.listing(database, state="held"))
        assert deliveries.retry(database, [id], "admin") == [id]
        wait_for(lambda: states(database)[0][1] == "stored")
    assert list(archive.stored) == [uid]
