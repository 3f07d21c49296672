"""A whole node at level debug: whatever happens to a study, its log, the logs of its servers and its metrics say nothing of the patient.

Every text of every header begins with `MARK`, so that a single search finds what leaks, whatever attribute it is from.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate

from deploy.demo.modality import AE_TITLE, send_files
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion
from deploy.local.ports import free_port
from imaging.wire.part10 import data_set_offset
from tests.support import node_toml
from tests.support.node_process import RunningNode, wait_until
from tests.support.patient_identifiers import found_in, values_of
from tests.support.queued_jobs import encode_file
from tests.support.series import image
from tests.support.storage_scu import associated, entity, store_bytes

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]

MARK = "Zqx"
UNKNOWN_CHARACTER_SET = b"ZqxCHARSET"
# Attributes that may name a person. Each value says which attribute and which image it is of.
SHORT = ("AccessionNumber", "StudyID", "RequestedProcedureID", "PatientTelephoneNumbers")  # SH: 16 characters
TEXTS = (
    *("PatientID", "OtherPatientIDs", "PatientAddress", "PatientComments", "AdditionalPatientHistory"),
    *("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription", "ImageComments", "InstitutionName"),
    *("AdmissionID", "MedicalRecordLocator", "StudyComments"),
)
NAMES = ("PatientName", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName", "OtherPatientNames", "PatientMotherBirthName")
MR = "1.2.840.10008.5.1.4.1.1.4"


def marked(dataset: FileDataset, number: int) -> FileDataset:
    """Give a data set values by which it is found in any text."""
    for keyword in TEXTS:
        setattr(dataset, keyword, f"{MARK}{keyword}{number} of {MARK}Family{number}")
    dataset.PatientID = f"{MARK}PatientID{number}"
    for keyword in SHORT:
        setattr(dataset, keyword, f"{MARK}{keyword[:9]}{number}")
    for keyword in NAMES:
        setattr(dataset, keyword, f"{MARK}{keyword}{number}^{MARK}Given{number}")
    dataset.PatientBirthDate = f"193702{10 + number}"
    dataset.StudyInstanceUID = dataset.StudyInstanceUID[:50].rstrip(".") + f".77.{number}"
    dataset.SeriesInstanceUID = dataset.SeriesInstanceUID[:50].rstrip(".") + f".78.{number}"
    return dataset


def lesion(number: int) -> FileDataset:
    """A photograph that the model analyses."""
    return marked(lesion_dataset(number, size=(150, 200)), number)


def cut_short(number: int) -> FileDataset:
    """A photograph whose JPEG ends in the middle."""
    dataset, jpeg = lesion(number), make_lesion(number, size=(150, 200)).jpeg
    dataset.PixelData = encapsulate([jpeg[: len(jpeg) // 2]])
    return dataset


def with_broken_values(number: int) -> bytes:
    """A photograph whose header has values that no reader understands: libraries quote them in their warnings."""
    dataset = lesion(number)
    for keyword in ("PatientAge", "PatientWeight", "StudyDate", "StudyTime", "PixelSpacing", "TimezoneOffsetFromUTC"):
        dataset.pop(keyword, None)
        dataset.add_new(keyword, "LO", f"{MARK}{keyword}")
    return encode_file(dataset).replace(b"ISO_IR 192", UNKNOWN_CHARACTER_SET)


@pytest.fixture
def node(tmp_path: Path) -> RunningNode:
    """A node at level debug: photographs go to a folder, CT series to a PACS that does not answer."""
    (results := tmp_path / "results").mkdir()
    gone = node_toml.pacs(free_port(), "gone", "GONE")
    config = tmp_path / "node.toml"
    config.write_text(f"""
{node_toml.ports(ae_title="NODE", timezone="+0100")}[logs]
level = "debug"
[completion]
settle_s = 1.0
quiet_s = 2.0
[worker]
children = 1
[delivery]
retry_base_s = 1.0
{node_toml.source(AE_TITLE)}[[destinations]]
name = "results"
folder = "{results}"
accept_research = true
{gone}{node_toml.skin_route("DMS", ("results",))}{node_toml.chest_route(destinations=("gone",))}""")
    return RunningNode(config)


def send(node: RunningNode, folder: Path, *contents: bytes) -> None:
    """Send files over one association, and keep them in ``folder``."""
    first = len(list(folder.iterdir()))
    paths = [folder / f"{first + number}.dcm" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    send_files(paths, "127.0.0.1", node.port, "NODE")


def send_as_it_is(node: RunningNode, content: bytes) -> None:
    """Send a file that no library of ours reads without a warning."""
    sent = lesion(4)
    sop_class, syntax = str(sent.SOPClassUID), str(sent.file_meta.TransferSyntaxUID)
    with associated(node.port, {sop_class: [syntax]}, calling=AE_TITLE, called="NODE") as association:
        raw = content[data_set_offset(content) :]
        answer = store_bytes(association, raw, sop_class=sop_class, sop_instance=str(sent.SOPInstanceUID), syntax=syntax)
        assert answer.Status == 0


def send_refused(node: RunningNode) -> None:
    """Send what the listener refuses: another instance than the command says, a part of a data set, and an association of a stranger."""
    content = encode_file(lesion(8))
    raw = content[data_set_offset(content) :]
    within_id = raw.index(f"{MARK}PatientID8".encode()) + 5
    sop_class, syntax = str(lesion(8).SOPClassUID), str(lesion(8).file_meta.TransferSyntaxUID)
    with associated(node.port, {sop_class: [syntax]}, calling=AE_TITLE, called="NODE") as association:
        for sop_instance, sent in (("1.2.826.0.1.3680043.10.543.92", raw), (str(lesion(8).SOPInstanceUID), raw[:within_id])):
            answer = store_bytes(association, sent, sop_class=sop_class, sop_instance=sop_instance, syntax=syntax)
            assert answer.Status >= 0xA000
    assert not entity("STRANGER", {sop_class: [syntax]}).associate("127.0.0.1", node.port, ae_title="NODE").is_established


def rows_by_patient(node: RunningNode) -> dict[str, dict[str, Any]]:
    """The last row of each patient in the export."""
    return {row["patient_id"]: row for row in node.export()}


def ask_console(node: RunningNode) -> None:
    """Search, read and upload by names and numbers of patients, and ask for what does not exist."""
    link = node.json("users", "invite", "doctor", "--role", "admin", "--json")["link"]
    password = {"password": "correct horse battery staple"}
    assert httpx.post(link, data=password, headers={"Origin": node.console}, timeout=600).status_code == 303
    scopes = [part for scope in ("upload", "results") for part in ("--scope", scope)]
    token = node.json("users", "token", "add", "doctor", "--name", "test", *scopes, "--json")["token"]
    with httpx.Client(base_url=node.console, headers={"Authorization": f"Bearer {token}"}, timeout=600) as program:
        for path in ("/api/v1/studies", "/api/v1/findings", f"/api/v1/studies/{MARK}PatientID1", f"/{MARK}PatientID1"):
            program.get(path, params={"text": f"{MARK}PatientName1", "label": f"{MARK}PatientID1"})
        stated = {"patient_id": f"{MARK}PatientID20", "family_name": f"{MARK}Uploaded", "region": "lower-back", "wait": "60"}
        jpeg = make_lesion(20, size=(150, 200)).jpeg
        assert program.post("/api/v1/predict", params=stated, content=jpeg, headers={"Content-Type": "image/jpeg"}).status_code < 300
        refused = program.post("/api/v1/predict", params=stated, content=b"no image", headers={"Content-Type": "image/jpeg"})
        assert refused.json()["state"] != "done" or not refused.json()["results"], refused.text


def outputs_of(node: RunningNode) -> dict[str, str]:
    """Logs of the roles and of the servers, and the pages that need no sign-in."""
    found = {"logs of the roles": "".join(node.errors)}
    for page in ("/metrics", "/status", "/readyz", "/api/v1/status"):
        found[page] = httpx.get(f"{node.console}{page}", timeout=600).text
    for path in (node.config.parent / "data").rglob("*"):
        if path.is_file() and path.suffix in {".log", ".conf"}:
            found[f"file {path.name}"] = path.read_text(errors="replace")
    return found


def test_no_case_shows_a_patient_at_level_debug(node: RunningNode, tmp_path: Path) -> None:
    (sent := tmp_path / "sent").mkdir()
    try:
        node.start()
        changed = marked(lesion_dataset(1, size=(150, 200)), 1)
        changed.PatientName = f"{MARK}Corrected^{MARK}Again"
        send(node, sent, *map(encode_file, (lesion(1), lesion(2), cut_short(3))))
        send_as_it_is(node, with_broken_values(4))
        send(node, sent, *[encode_file(marked(image(study=5, number=number), 5)) for number in (1, 2, 3)])  # too few slices
        send(node, sent, encode_file(marked(image(study=6, sop_class=MR, Modality="MR"), 6)))  # no route takes it
        send_refused(node)
        ask_console(node)
        wanted = {f"{MARK}PatientID{number}" for number in (*range(1, 7), 20)}
        wait_until("every unit has its outcome", lambda: wanted <= {id for id, row in rows_by_patient(node).items() if row["outcome"]})
        send(node, sent, encode_file(changed))  # another content of the same instance: a new revision
        wait_until("the corrected image", lambda: any(row["revision"] == 2 for row in node.export()))
        found = rows_by_patient(node)
        assert found[f"{MARK}PatientID3"]["outcome"] == found[f"{MARK}PatientID5"]["outcome"] == "not_analysed"
        assert found[f"{MARK}PatientID6"]["job_id"] is None
        erased = f"{MARK}PatientID2"
        wait_until("the delivery", lambda: rows_by_patient(node)[erased]["job_state"] == "delivered")
        refused = [str(row["id"]) for row in node.json("quarantine", "list", "--json")]
        assert refused, "the refused data sets are listed"
        assert "erased" in node.all_output("patients", "erase", erased, "--reason", "a test", "--yes", "--quarantined", refused[0])
        assert erased not in rows_by_patient(node)
        for command in ("jobs requeue 1 2 3", "deliveries retry 1", "quarantine requeue 1 2", "rules requeue 1", "jobs cancel 1"):
            node.all_output(*command.split())
        outputs = outputs_of(node)
    finally:
        node.stop_or_kill()
    outputs["logs of the roles"] = "".join(node.errors)
    events = [json.loads(line) for line in node.errors if line.startswith("{")]
    assert Counter(event["level"] for event in events)["debug"] > 50
    assert {"listen", "conduct", "worker", "send"} <= {event.get("role") for event in events}
    assert {name: sorted(set(re.findall(rf"{MARK}\w+", text))) for name, text in outputs.items() if MARK in text} == {}
    values = values_of(sent.iterdir())
    assert {"PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID"} <= set(values)
    assert {name: found for name, text in outputs.items() if (found := found_in(text, values))} == {}


def test_every_text_of_a_marked_image_has_the_mark(tmp_path: Path) -> None:
    """The search finds what it is for."""
    lesion(1).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    dataset: Dataset = pydicom.dcmread(tmp_path / "image.dcm", stop_before_pixels=True)
    for keyword in (*TEXTS, *SHORT, *NAMES):
        assert MARK in str(dataset[keyword].value)
