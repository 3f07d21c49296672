"""The archive has corrected patient or study since it sent the images: it refuses a result with the old values, which is then held.

The archive is Orthanc with our script for its Python plug-in (``deploy/conf/orthanc_archive.py``), as docs/pacs.md tells sites.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.blobs.store import Blobs
from db.deliveries.delivery_admin import retry_deliveries
from db.engine import Database
from db.listings.deliveries import list_deliveries
from tests.dicom_node.conftest import MakeSettings
from tests.support.orthanc import ARCHIVE, Orthanc
from tests.support.records import scalar
from tests.support.send_role import QUICK_RETRIES, delivery_states, destination, running_sender, wait_for
from tests.support.series import encoded, image


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    archive = Orthanc(tmp_path_factory.mktemp("archive") / "orthanc", "PACS", ARCHIVE).start()
    yield archive
    archive.stop()


@pytest.fixture
def archive(orthanc: Orthanc) -> Orthanc:
    """Orthanc, emptied."""
    for patient in orthanc.get("/patients"):
        orthanc.delete(f"/patients/{patient}")
    return orthanc


def holds(archive: Orthanc, folder: Path, **says: str) -> None:
    """Make an image of the study with these attributes the only object of the archive."""
    for patient in archive.get("/patients"):
        archive.delete(f"/patients/{patient}")
    path = folder / "image.dcm"
    path.write_bytes(encoded(image(number=90, **says)))
    archive.upload([path])


@pytest.mark.parametrize("corrected", [{"PatientID": "MERGED"}, {"AccessionNumber": "CORRECTED"}])
def test_a_result_with_old_patient_attributes_is_held_with_the_reason(
    database: Database,
    blobs: Blobs,
    make_settings: MakeSettings,
    make_report: Callable[..., str],
    archive: Orthanc,
    tmp_path: Path,
    corrected: dict[str, str],
) -> None:
    uid = make_report("pacs")  # from the images as they were before
    holds(archive, tmp_path, **corrected)
    rules = {**QUICK_RETRIES, "timeout_s": 30.0}
    with running_sender(make_settings(destinations=[destination(archive.port)], delivery=rules), database, blobs):
        wait_for(lambda: delivery_states(database)[0][1] == "held")
        ((_, _, status, note, _),) = delivery_states(database)
        assert status == 0xA900
        assert "or the patient or study that the archive holds" in note
        assert archive.post("/tools/lookup", uid.encode()) == []
        assert scalar(database, "SELECT state FROM jobs") == "reported"  # never delivered, and shown as held
        holds(archive, tmp_path)  # the correction was taken back there
        (id,) = (row["delivery_id"] for row in list_deliveries(database, state="held"))
        assert retry_deliveries(database, [id], "admin") == [id]
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
    assert [found["Type"] for found in archive.post("/tools/lookup", uid.encode())] == ["Instance"]
