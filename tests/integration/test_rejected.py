"""A new result at an archive that carries out rejections (IHE IOCM): of the old result only the report remains.

The archive is Orthanc with our script for its Python plug-in (``deploy/conf/orthanc_archive.py``), as described in docs/pacs.md.
"""

from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from core.states import Priority
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.job_admin import show_job
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


def find_instances(archive: Orthanc, study: str, modality: str = "") -> set[str]:
    """Return the SOP Instance UIDs that C-FIND finds in a study, of one modality if given."""
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


def delivered_objects(runtime: ChildRuntime, job_id: int) -> dict[str, str]:
    """Return the SOP Instance UIDs of the objects of a job that are delivered, by kind."""
    return {row["object"]: row["sop_instance_uid"] for row in show_job(runtime.database, job_id)["deliveries"]}


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

        def all_stored(count: int) -> bool:
            return [row[1] for row in delivery_states(database)].count("stored") == count

        with running_sender(settings, database, blobs):
            first, _ = queueing.photograph(1, destinations=("pacs",))
            assert wake_up.handle_wake_up(runtime) == 1
            old = delivered_objects(runtime, first)
            wait_for(lambda: all_stored(3))
            assert old.keys() == {"sr", "seg", "heatmap"}
            assert find_instances(archive, study) == set(old.values())
            second = changed(runtime, queueing, "corrected")
            new = delivered_objects(runtime, second)
            assert new.keys() == {"sr", "seg", "heatmap", "rejection"}
            wait_for(lambda: all_stored(7))
            wait_for(lambda: find_instances(archive, study, "SEG") == {new["seg"]})
            wait_for(lambda: find_instances(archive, study) == {old["sr"], *new.values()})
    finally:
        archive.stop()
