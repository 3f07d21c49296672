"""A new answer at an archive that acts on rejections (IHE IOCM): of the old one only the report is left.

The archive is Orthanc with our script for its Python plug-in (``deploy/conf/orthanc_archive.py``), as docs/pacs.md tells sites.
"""

from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from core.states import Priority
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import job_leases
from deploy.demo.synthetic.lesion import lesion_dataset
from deploy.settings_file import load_settings
from dicom_node.sockets import NodeEntity
from tests.support.orthanc import ARCHIVE, Orthanc
from tests.support.queued_jobs import JobFactory, configure, server_url_variables
from tests.support.send_role import delivery_states, running_sender, wait_for
from tests.workers.results.test_rejections import changed
from workers.attempt import wake_up
from workers.child.drain_flag import DrainFlag
from workers.child.runtime import ChildRuntime


def answered(archive: Orthanc, study: str, modality: str = "") -> set[str]:
    """What C-FIND finds in the study: the SOP Instance UIDs, of one modality."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID, identifier.Modality = "IMAGE", study, modality
    identifier.SeriesInstanceUID = identifier.SOPInstanceUID = ""
    entity = NodeEntity("VIEWER")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = entity.associate("127.0.0.1", archive.port, ae_title=archive.ae_title)
    assert association.is_established
    found = list(association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind))
    association.release()
    assert found[-1][0].Status == 0
    return {str(answer.SOPInstanceUID) for _, answer in found if answer is not None}


def sent(runtime: ChildRuntime, job_id: int) -> dict[str, str]:
    """The SOP Instance UIDs of a job's objects that go to the archive, by kind."""
    return {row["object"]: row["sop_instance_uid"] for row in job_leases.show(runtime.database, job_id)["deliveries"]}


def test_the_archive_shows_only_the_new_segmentation(tmp_path: Path, database: Database, database_url: str) -> None:
    archive = Orthanc(tmp_path / "orthanc", "PACS", ARCHIVE).start()
    try:
        configure(tmp_path, database_url)
        path = tmp_path / "node.toml"
        path.write_text(
            path.read_text()
            .replace('name = "pacs"\n', 'name = "pacs"\nobjects = ["sr", "seg", "heatmap"]\niocm = true\n', 1)
            .replace("port = 4242", f"port = {archive.port}")
        )
        settings = load_settings(path, server_url_variables(database_url, ""))
        blobs = Blobs(settings.blobs_dir)
        runtime = ChildRuntime(settings, database, blobs, DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")
        queueing = JobFactory(database, blobs)
        study = str(lesion_dataset(1, size=(150, 200)).StudyInstanceUID)

        def delivered(count: int) -> bool:
            return [row[1] for row in delivery_states(database)].count("stored") == count

        with running_sender(settings, database, blobs):
            first, _ = queueing.photograph(1, destinations=("pacs",))
            assert wake_up.handle_wake_up(runtime) == 1
            old = sent(runtime, first)
            wait_for(lambda: delivered(3), 120)
            assert old.keys() == {"sr", "seg", "heatmap"}
            assert answered(archive, study) == set(old.values())
            second = changed(runtime, queueing, "corrected")
            new = sent(runtime, second)
            assert new.keys() == {"sr", "seg", "heatmap", "rejection"}
            wait_for(lambda: delivered(7), 120)
            wait_for(lambda: answered(archive, study, "SEG") == {new["seg"]}, 60)
            wait_for(lambda: answered(archive, study) == {old["sr"], *new.values()}, 60)
    finally:
        archive.stop()
