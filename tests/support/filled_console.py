"""A node whose console has something on every page: a chest CT and a photograph with results, and studies in every other state.

The images are synthetic. The findings are the known nodules and the known lesion: no model was used.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.states import Priority, ResultKind
from db.accounts.invitations import invite_user
from db.blobs.store import Blobs
from db.engine import Database
from db.roles.heartbeats import record_heartbeat
from deploy.demo.synthetic.chest import make_chest, synthetic_identity, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, lesion_identity
from tests.support import analyses_with_images
from tests.support.console import Browser, add_users
from tests.support.records import Sender, claim, complete, plan, run, scalar
from tests.support.viewer_units import photograph_with_finding, series_with_findings
from workers.encode.objects import by_kind
from workers.encode.sr import document

LONG = "Wolfeschlegelsteinhausenbergerdorff^Maximiliane Friederike^^Dr."
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
ARABIC = "قباني^نزار"


def fill_node(database: Database, folder: Path, *, slices: int = 24, size: int = 96, kinds: Sequence[ResultKind] = ()) -> dict[str, str]:
    """Fill an empty database and ``folder``; return a value for each parameter in the paths of the console.

    Parameters
    ----------
    slices, size
        Z, and Y = X, of the chest; its field of view is 358 mm in each direction.
    kinds
        The result objects beside the reports.
    """
    blobs = Blobs(folder / "blobs")
    chest = make_chest(5, slices=slices, size=size, slice_mm=300 / slices, diameters_mm=(14.0, 24.0))
    patient = replace(synthetic_identity(5, name=JAPANESE, sex="M"), study_description="Chest CT, follow-up")
    files = write_chest(folder / "chest", chest, identity=patient)
    lesion = folder / "lesion.dcm"
    lesion_dataset(3, identity=replace(lesion_identity(3), patient_name=LONG)).save_as(lesion, enforce_file_format=True)
    _unfinished_studies(database)
    of_skin = analyses_with_images.lesion()
    photograph_with_finding(
        database,
        blobs,
        lesion,
        [document.encode(of_skin), *(by_kind.encode_kind(ResultKind.PDF, of_skin) if ResultKind.PDF in kinds else ())],
    )
    of_chest = analyses_with_images.chest()
    objects = [document.encode(of_chest), *(one for kind in kinds for one in by_kind.encode_kind(kind, of_chest)[:1])]
    unit, _ = series_with_findings(database, blobs, files, [(one.position_mm, one.diameter_mm) for one in chest.nodules], objects)
    run(
        database,
        "UPDATE deliveries SET state = 'stored', stored_at = node_now(), attempts = 1; "
        "UPDATE jobs SET state = 'delivered' WHERE state = 'reported'",
    )
    for role in ("listen", "conduct", "relay", "worker", "send"):
        record_heartbeat(database, role, f"{role}@node:1", {})
    add_users(database)
    return _values(database, unit)


def _unfinished_studies(database: Database) -> None:
    """Studies that failed, wait, were not routed, and still arrive."""
    described: dict[str, tuple[str, str, dict[str, object]]] = {
        "1": ("Weber^Anna", "CT Thorax nativ", {}),
        "2": ("Garcia^Luis", "Thorax low dose", {"accession_number": "A-2044"}),
        "3": ("Doe^Jane", "MR Brain", {"modality": "MR"}),
        "4": (ARABIC, "Chest CT", {"patient_id": "P-4471"}),
    }
    for number, (name, description, more) in described.items():
        values: dict[str, Any] = {"patient_id": f"P-100{number}", "patient_name": name, "study_description": description, **more}
        sender = Sender(database)
        for image in range(1, 4):
            sender.send(image, study=f"1.2.{number}", series=f"1.2.{number}.1", **values)
    complete(database, plan(), study="1.2.1")
    claim(database)
    run(
        database,
        "UPDATE jobs SET state = 'quarantined', reason = 'the worker ran out of memory', worker = NULL, token = NULL, lease_until = NULL",
    )
    complete(database, plan(priority=Priority.URGENT), study="1.2.2")
    claim(database)
    complete(database, study="1.2.3", reason="no route takes modality MR")
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")


def _values(database: Database, unit: int) -> dict[str, str]:
    study = scalar(database, f"SELECT s.study_id FROM series s JOIN units u ON u.series_id = s.id WHERE u.id = {unit}")
    job = scalar(database, f"SELECT max(id) FROM jobs WHERE unit_id = {unit}")
    report = scalar(database, f"SELECT id FROM reports WHERE job_id = {job} AND kind = 'sr'")
    return {"unit_id": str(unit), "study_id": str(study), "job_id": str(job), "object_id": str(report), "name": "lung_nodule_ct"}


def use_console(browser: Browser, database: Database) -> dict[str, str]:
    """Do as an administrator what leaves traces on pages; return further values for parameters of paths."""
    browser.sign_in("admin")
    browser.open("/upload")
    headers = {"Origin": str(browser.base_url).rstrip("/"), "X-Form-Token": browser.form_token}
    upload = browser.post("/upload", json={"files": [{"name": "lesion.jpg", "size": 1000}], "statement": {}}, headers=headers).json()
    browser.open("/worklist")
    browser.open("/account")
    browser.send_form("/account/tokens", token_name="nightly export", scope=["results"], days="90")
    invitation = invite_user(database, name="Grace", role="clinician", actor="user:admin")
    return {"upload_id": str(upload["id"]), "file_id": str(upload["files"][0]["id"]), "token": invitation}
