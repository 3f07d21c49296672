"""A node whose console has something on every page: a chest CT and a photograph with results, and studies in every other state.

The images are synthetic. The findings are the known nodules and the known lesion: no model was used.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.policy.priors.choice import PriorRule
from core.policy.priors.finding_matches import NONE_NEAR
from core.records import Change, FindingComparison
from core.states import Priority, ResultKind
from db.accounts.invitations import invite_user
from db.blobs.store import Blobs
from db.engine import Database
from db.operations.command_kinds import CommandKind
from db.roles.commands import enqueue_command
from db.roles.heartbeats import record_heartbeat
from deploy.demo.synthetic.chest import make_chest, synthetic_identity, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, lesion_identity
from imaging.headers.identity import Identity
from tests.support import analyses_with_images
from tests.support.console import Browser, add_users
from tests.support.records import DIGEST, Sender, claim, complete, finish, plan, run, scalar
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
    earlier = _earlier_study(database, patient)
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
    _compare(database, unit, earlier)
    run(
        database,
        "UPDATE deliveries SET state = 'stored', stored_at = node_now(), attempts = 1; "
        "UPDATE jobs SET state = 'delivered' WHERE state = 'reported'",
    )
    keep_roles_alive(database)
    add_users(database)
    return _values(database, unit)


def keep_roles_alive(database: Database) -> None:
    """Record a heartbeat of each role."""
    for role in ("listen", "conduct", "relay", "worker", "send"):
        record_heartbeat(database, role, f"{role}@node:1", {})


def _earlier_study(database: Database, patient: Identity) -> int:
    """Report a study of the patient of a year before; return the id of its job."""
    values = {name: getattr(patient, name) for name in ("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date")}
    Sender(database).send(1, study="1.2.9", series="1.2.9.1", study_date="20250105", study_description="Chest CT", **values)
    complete(database, plan(), study="1.2.9")
    job = claim(database)
    finish(database, job, findings=2)
    run(database, f"UPDATE findings SET diameter_mm = 17.2 WHERE job_id = {job.id}")
    return job.id


def _compare(database: Database, unit: int, earlier: int) -> None:
    """Store that the nodules of the chest were compared with the earlier study, where one of them was found."""
    job = scalar(database, f"SELECT id FROM jobs WHERE unit_id = {unit}")
    rule = json.dumps(asdict(PriorRule(1, 1825, ("Modality",))))
    run(database, f"UPDATE jobs SET prior_rule = '{rule}' WHERE id = {job}")
    run(
        database,
        "INSERT INTO job_priors (job_id, place, prior_job_id, model_version, pipeline_digest, study_date, study_time, days)"
        f" VALUES ({job}, 1, {earlier}, '1.0', '{DIGEST}', '20250105', '', 362)",
    )
    before = FindingComparison(earlier, "1.0", "20250105", 362, Change.NOT_MATCHED, reason=NONE_NEAR)
    grown = replace(
        before, change=Change.LARGER, finding=1, distance_mm=3.1, reason="", diameter_mm_before=17.2, diameter_difference_mm=6.8,
        volume_mm3_before=2665.0, volume_difference_mm3=4573.0, volume_percent=172, doubling_days=251,
    )  # fmt: skip
    for number, said in enumerate((grown, before), 1):
        run(database, f"UPDATE findings SET comparison = '{json.dumps(asdict(said))}' WHERE job_id = {job} AND ordinal = {number}")


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
        "UPDATE jobs SET state = 'quarantined', reason = 'the worker ran out of memory', worker = NULL, token = NULL, lease_until = NULL "
        "WHERE state = 'running'",
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
    command = enqueue_command(database, CommandKind.PATIENT_REFUSED, {"subject": "0a1b2c3d"}, "user:admin")
    of_upload = {"upload_id": str(upload["id"]), "file_id": str(upload["files"][0]["id"])}
    return {**of_upload, "token": invitation, "command_id": str(command)}
