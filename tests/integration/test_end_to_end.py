"""The node between two senders and two destinations, with nothing replaced.

Orthanc sends and receives; the node is ``dicom-node up`` with embedded PostgreSQL and broker, Celery workers and trained models. The tests
run in order and share one node.
"""

import io
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from deploy.demo.modality import AE_TITLE as MODALITY
from deploy.demo.modality import send_files
from deploy.demo.result_check import dciodvfy_errors
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_identity, make_lesion
from deploy.demo.synthetic.uids import synthetic_uid
from imaging.photograph.encapsulate import jpeg_to_dicom
from imaging.wire.part10 import data_set_offset
from tests.support import node_toml
from tests.support.external_programs import tool
from tests.support.imported_series import check_console, check_reports, import_and_send
from tests.support.node_process import RunningNode, wait_until
from tests.support.orthanc import Orthanc
from tests.support.patient_identifiers import found_in, values_of
from tests.support.real_data import shared_data
from tests.support.storage_scu import associated, store_bytes
from tests.support.transcode import transcode
from tests.support.webhook_server import WebhookServer, webhook_server
from workers.encode.validate.validator import validate

pytestmark = pytest.mark.timeout(3600)
SYNTAXES = ("explicit", "jpeg_lossless_sv1", "jpeg_2000", "jpeg_ls", "rle", "deflated")
SEED = 7
# The smallest chest in which the model analyses a lung field, so that a series takes it 4 s and not 11.
SMALL_CHEST: dict[str, Any] = {"slices": 18, "size": 64, "slice_mm": 5.0, "pixel_mm": 3.2}
REAL_SLICES = slice(40, 58)  # with lung in each; tests/models/lung_nodule_ct analyses all 99
EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass(slots=True)
class Department:
    """What the tests share: the node, two PACS, and how many reports were sent so far."""

    node: RunningNode
    first: Orthanc
    second: Orthanc
    folder: Path
    reports_expected: int = 0

    def wait_for_reports(self, reports: int) -> list[dict[str, Any]]:
        """Wait until ``reports`` more reports are at both destinations; return the rows of ``results export``."""
        self.reports_expected += reports
        wait_until(
            f"{self.reports_expected} reports at both destinations",
            lambda: len(self.first.reports()) == len(self.second.reports()) == self.reports_expected,
        )
        wait_until("every delivery stored, or committed where requested", self._all_delivered)
        return self.node.export()

    def _all_delivered(self) -> bool:
        rows = self.node.json("deliveries", "list", "--json")
        return all(row["state"] == {"first": "committed", "second": "stored"}[row["destination"]] for row in rows)


@pytest.fixture(scope="module")
def webhook() -> Iterator[WebhookServer]:
    """The webhook that the node sends alerts to."""
    with webhook_server() as server:
        yield server


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory, webhook: WebhookServer) -> Iterator[Department]:
    folder = tmp_path_factory.mktemp("department")
    first, second = Orthanc(folder / "first", "FIRSTPACS").start(), Orthanc(folder / "second", "SECONDPACS").start()
    config = folder / "node.toml"
    config.write_text(f"""
{node_toml.ports(ae_title="NODE")}[completion]
settle_s = 4.0
quiet_s = 6.0
[worker]
children = 1
[delivery]
retry_base_s = 1.0
[webhook]
url = "http://127.0.0.1:{webhook.port}/"
disk_low_bytes = {1 << 62}
[[sources]]
ae_title = "FIRSTPACS"
host = "127.0.0.1"
query = {{ ae_title = "FIRSTPACS", host = "127.0.0.1", port = {first.port} }}
{node_toml.source(MODALITY, "127.0.0.0/8")}{node_toml.pacs(first.port, "first", "FIRSTPACS", storage_commitment=True)}
{node_toml.pacs(second.port, "second", "SECONDPACS")}
[[routes]]
name = "chest CT"
model = "lung_nodule_ct"
destinations = ["first", "second"]
when = {{ Modality = "CT", BodyPartExamined = ["CHEST", "THORAX"] }}
{node_toml.skin_route(["DMS", "XC"], ("first", "second"), priority="urgent")}""")
    node = RunningNode(config)
    try:
        node.start()
        first.knows("node", "NODE", node.port)
        yield Department(node, first, second, folder)
    finally:
        node.stop_or_kill()
        first.stop()
        second.stop()


def real_slices() -> list[Path]:
    """Return files of the real series that follow each other in space."""
    files = (shared_data() / "ct" / "cptac-C3N-00247-lung3.0-B70f").glob("*.dcm")
    return sorted(files, key=lambda path: float(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2]))[
        REAL_SLICES
    ]


def _rows_of(export: list[dict[str, Any]], series: str) -> list[dict[str, Any]]:
    return [row for row in export if row["series_instance_uid"] == series]


def _comparable(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a finding without the UID of its image, which differs between the series."""
    measured = {key: value for key, value in row["measurements"].items() if key != "image_sop_instance_uid"}
    return row["finding"], row["probability"], row["tier"], measured


def test_1_echo_both_ways(department: Department) -> None:
    department.first.echo("node")
    answer = department.node.json("destinations", "echo", "--json")
    assert [row["ok"] for row in answer] == [True, True]


def test_2_a_real_ct_series_from_orthanc_gives_one_report_per_destination(department: Department) -> None:
    files = real_slices()
    department.first.send("node", department.first.upload(files))
    source = pydicom.dcmread(files[0], stop_before_pixels=True)
    rows = _rows_of(department.wait_for_reports(1), source.SeriesInstanceUID)
    assert rows
    assert {row["study_instance_uid"] for row in rows} == {source.StudyInstanceUID}
    assert {row["patient_id"] for row in rows} == {source.PatientID}
    assert {row["model"] for row in rows} == {"lung_nodule_ct"}
    assert rows[0]["outcome"] in {"findings", "no_finding"}
    assert "twice" in str(rows[0]["completion_evidence"]), "the count was not queried from Orthanc"
    assert {(d["destination"], d["state"]) for d in rows[0]["deliveries"]} == {("first", "committed"), ("second", "stored")}


def test_3_the_same_ct_in_six_transfer_syntaxes_gives_the_same_findings(department: Department) -> None:
    chest = make_chest(SEED, **SMALL_CHEST, diameters_mm=(12.0, 20.0))
    plain = write_chest(department.folder / "explicit", chest)
    series: dict[str, str] = {}
    for name in SYNTAXES:
        folder = department.folder / f"as-{name}"
        folder.mkdir()
        series[name] = synthetic_uid(SEED, "series", name)
        study = synthetic_uid(SEED, "study", name)
        for number, path in enumerate(plain):
            image = transcode(
                pydicom.dcmread(path), name, sop_instance_uid=synthetic_uid(SEED, name, number), series_instance_uid=series[name]
            )
            image.StudyInstanceUID = study
            image.save_as(folder / path.name, enforce_file_format=True)
        send_files(sorted(folder.glob("*.dcm")), "127.0.0.1", department.node.port, "NODE")
    export = department.wait_for_reports(len(SYNTAXES))
    findings = {}
    for name in SYNTAXES:
        rows = _rows_of(export, series[name])
        assert rows, f"nothing exported for {name}"
        findings[name] = [_comparable(row) for row in rows]
        assert rows[0]["outcome"] == "findings", f"{name}: {rows[0]['reason']}"
    assert all(finding == findings["explicit"] for finding in findings.values())


def test_4_a_dermoscopy_image_in_jpeg_baseline(department: Department) -> None:
    with tarfile.open(shared_data() / "dermoscopy" / "ham10000-224.tar") as archive:
        members = [member for member in archive if member.name.endswith(".jpg")][:2]
        jpegs = [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
    paths = []
    for seed, (kind, jpeg) in enumerate(zip(("dermoscopy", "vl"), jpegs, strict=True)):
        photograph = jpeg_to_dicom(
            jpeg,
            identity=lesion_identity(100 + seed),
            series_instance_uid=synthetic_uid(seed, "e2e", "series"),
            sop_instance_uid=synthetic_uid(seed, "e2e", "image"),
            kind="dermoscopy" if kind == "dermoscopy" else "vl",
        )
        paths.append(department.folder / f"{kind}.dcm")
        photograph.save_as(paths[-1], enforce_file_format=True)
    send_files(paths, "127.0.0.1", department.node.port, "NODE")
    export = department.wait_for_reports(2)
    for seed in range(2):
        rows = [row for row in export if row["sop_instance_uid"] == synthetic_uid(seed, "e2e", "image")]
        assert len(rows) == 1
        assert rows[0]["finding"] in {"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}
        assert 1 / 7 < rows[0]["probability"] <= 1
        assert rows[0]["tier"] in {"high", "review", "uncertain"}


def test_5_every_report_at_every_destination_is_valid_and_the_same(department: Department, tmp_path: Path) -> None:
    tool("dciodvfy", "dicom3tools")
    contents = []
    for pacs in (department.first, department.second):
        stored = {report["SOPInstanceUID"]: pacs.file(report["ID"]) for report in pacs.reports()}
        assert len(stored) == department.reports_expected
        contents.append(stored)
    assert set(contents[0]) == set(contents[1])
    for number, content in enumerate(contents[0].values()):
        assert validate(content) == ()
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(content)
        assert dciodvfy_errors(path) == []


def test_6_instances_sent_again_create_no_jobs(department: Department) -> None:
    before = department.node.json("jobs", "list", "--json")
    for folder in sorted(department.folder.glob("as-*")):
        send_files(sorted(folder.glob("*.dcm")), "127.0.0.1", department.node.port, "NODE")
    send_files(sorted(department.folder.glob("*.dcm")), "127.0.0.1", department.node.port, "NODE")
    assert department.node.json("jobs", "list", "--json") == before


def test_7_a_late_slice_gives_one_superseding_result(department: Department) -> None:
    chest = make_chest(SEED + 1, **SMALL_CHEST, diameters_mm=(14.0,))
    files = write_chest(department.folder / "late", chest)
    series = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    send_files(files[:-1], "127.0.0.1", department.node.port, "NODE")
    first = _rows_of(department.wait_for_reports(1), series)
    send_files(files[-1:], "127.0.0.1", department.node.port, "NODE")
    rows = _rows_of(department.wait_for_reports(1), series)
    states = Counter((row["revision"], row["job_state"]) for row in rows)
    assert set(states) == {(1, "superseded"), (2, "delivered")}, states
    newest = next(row for row in rows if row["revision"] == 2)
    assert newest["sr_sop_instance_uid"] != first[0]["sr_sop_instance_uid"]
    stored = {report["SOPInstanceUID"]: report["ID"] for report in department.first.reports()}
    path = department.folder / "newest-report"
    path.write_bytes(department.first.file(stored[newest["sr_sop_instance_uid"]]))
    report = pydicom.dcmread(path)
    replaced = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert replaced.ReferencedSOPInstanceUID == first[0]["sr_sop_instance_uid"]


def test_8_a_series_that_no_route_selects_is_recorded_with_the_reason(department: Department) -> None:
    chest = make_chest(SEED + 2, slices=20, size=64, slice_mm=5.0, diameters_mm=())
    files = write_chest(department.folder / "abdomen", chest)
    for path in files:
        image = pydicom.dcmread(path)
        image.BodyPartExamined = "ABDOMEN"
        image.save_as(path)
    series = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    send_files(files, "127.0.0.1", department.node.port, "NODE")
    rows = wait_until("the reason in the export", lambda: _rows_of(department.node.export(), series))
    assert len(rows) == 1
    assert "BodyPartExamined" in rows[0]["reason"]
    assert rows[0]["job_id"] is None
    assert department.wait_for_reports(0)


def test_81_a_photograph_that_a_program_uploads_gets_its_result_and_pdf(department: Department) -> None:
    node = department.node
    link = node.json("users", "invite", "doctor", "--role", "clinician", "--json")["link"]
    password = {"password": "correct horse battery staple"}
    assert httpx.post(link, data=password, headers={"Origin": node.console}, timeout=600).status_code == 303
    scopes = ("--scope", "upload", "--scope", "results")
    token = node.json("users", "token", "add", "doctor", "--name", "test", *scopes, "--json")["token"]
    with httpx.Client(base_url=node.console, headers={"Authorization": f"Bearer {token}"}, timeout=600) as program:
        stated = {"patient_id": "UPLOADED-81", "family_name": "Uploadedname", "region": "lower-back", "wait": "60"}
        jpeg = make_lesion(SEED + 81, size=(450, 600)).jpeg
        reply = program.post("/api/v1/predict", params=stated, content=jpeg, headers={"Content-Type": "image/jpeg"})
        wait_until("the result", lambda: program.get(reply.json()["url"], params={"wait": 60}).status_code == 200)
        answer = program.get(reply.json()["url"]).json()
        (result,) = answer["results"]
        assert (answer["state"], result["model"], result["reason"]) == ("done", "dermoscopy_7class", "")
        assert result["outcome"] in {"findings", "abstained"}
        pdf = program.get(result["links"]["pdf"])
        assert bytes(pydicom.dcmread(io.BytesIO(pdf.content)).EncapsulatedDocument).startswith(b"%PDF")
        assert program.get(result["links"]["report"]).status_code == 200
    department.wait_for_reports(1)
    assert not [line for line in node.errors if "UPLOADED-81" in line or "Uploadedname" in line]


def test_82_imported_classifiers_read_every_modality(department: Department, tmp_path: Path) -> None:
    """OCT volume, ultrasound loop, whole slide, radiographs and clinical photograph: DICOM in, reports out, shown in the console.

    The bundles of MONAI are imported and activated, and their routes are added by a reload.
    """
    sent = import_and_send(department.node, tmp_path)
    analysed = (*sent.expected, *sent.radiographs)
    export = department.wait_for_reports(len(analysed) + 1)  # the route of skin takes the photograph too
    check_reports(department.first, export, analysed, tmp_path)
    (row,) = [row for row in export if row["sop_instance_uid"] == sent.unrouted.SOPInstanceUID]
    assert row["job_id"] is None
    assert "ViewPosition" in row["reason"]
    check_console(department.node, sent.expected)


def test_9_a_restart_loses_and_repeats_nothing(department: Department) -> None:
    chest = make_chest(SEED + 3, **SMALL_CHEST, diameters_mm=(16.0,))
    files = write_chest(department.folder / "restart", chest)
    before = department.node.export()
    send_files(files, "127.0.0.1", department.node.port, "NODE")  # acknowledged, not complete yet
    status = department.node.stop()
    assert status == 0
    department.node.start()
    after = department.wait_for_reports(1)
    assert [row for row in after if row in before] == before, "earlier results have changed"
    assert not [line for line in department.node.errors if "Traceback" in line]
    department.node.cli("audit", "verify")


def test_91_no_output_contains_patient_data(department: Department, webhook: WebhookServer) -> None:
    """Logs of all roles and servers, metrics, pages, alerts and output of commands contain no value of any patient.

    Output that is meant to contain them is not searched: the export, `jobs show`, listings as JSON, the reports.
    """
    node = department.node
    chest = make_chest(SEED + 9, slices=1, size=32, slice_mm=3.0, diameters_mm=())
    provoked = pydicom.dcmread(write_chest(department.folder / "provoked", chest)[0])
    provoked.StudyInstanceUID, provoked.PatientID, provoked.PatientName = "1.2.826.0.1.3680043.10.543.91", "PROVOKED91", "Provoked^Mistake"
    provoked.save_as(department.folder / "provoked.dcm")
    raw = provoked_bytes(department.folder / "provoked.dcm")
    with associated(node.port, {str(provoked.SOPClassUID): [EXPLICIT]}, calling=MODALITY, called="NODE") as association:
        for sop_instance, content in (("1.2.826.0.1.3680043.10.543.92", raw), (str(provoked.SOPInstanceUID), raw[: len(raw) // 3])):
            store_bytes(association, content, sop_class=str(provoked.SOPClassUID), sop_instance=sop_instance)
    sent = [path for path in department.folder.rglob("*.dcm") if "data" not in path.relative_to(department.folder).parts[:1]]
    values = values_of([*sent, *real_slices()])
    assert {"PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID", "SOPInstanceUID"} <= set(values)
    wait_until("an alert at the webhook", lambda: webhook.posts)
    outputs = {"logs of the roles": "".join(node.errors), "webhook": "".join(f"{headers}{body!r}" for headers, body in webhook.posts)}
    for page in ("/status", "/sign-in", "/metrics", "/readyz", "/healthz", "/api/v1/status", "/api/v1/openapi.json", "/nothing/1.2.3"):
        outputs[page] = httpx.get(f"{node.console}{page}", timeout=600).text
    for command in (
        *("jobs list", "deliveries list", "quarantine list", "audit export", "models drift", "doctor", "destinations echo"),
        *("retention run --dry-run", "jobs show 99999", "quarantine requeue 1 2", "jobs requeue 1"),
    ):
        outputs[command] = node.all_output(*command.split())
    for path in (department.folder / "data").rglob("*"):
        if path.is_file() and "blobs" not in path.parts and (path.suffix in {".log", ".json", ".rdb", ".aof", ".conf"}):
            outputs[f"file {path.name}"] = path.read_text(errors="replace")
    assert len(outputs) > 20
    assert all(outputs[name] for name in outputs if not name.startswith("file "))
    assert {name: found for name, text in outputs.items() if (found := found_in(text, values))} == {}
    # The search finds the values where they are meant to be.
    assert {"PatientID", "StudyInstanceUID"} <= set(found_in(node.all_output("results", "export"), values))


def provoked_bytes(path: Path) -> bytes:
    """Return the data set of a file."""
    content = path.read_bytes()
    return content[data_set_offset(content) :]
