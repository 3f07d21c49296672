"""Results as the PACS holds them: there, and valid."""

import io
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from core.states import ReportKind
from deploy.demo.pacs import Pacs
from workers.encode.validate.validator import validate

NAMES = {ReportKind.SR.value: "report"}


@dataclass(frozen=True, slots=True)
class Report:
    """One object of a result, fetched back. ``problems`` is empty where it is there and every validator is content."""

    sop_instance_uid: str
    kind: str
    job_id: int
    path: Path | None
    validators: tuple[str, ...]
    problems: tuple[str, ...]


def fetch_all(pacs: Pacs, rows: "list[Mapping[str, Any]]", folder: Path) -> list[Report]:
    """Every object of the delivery rows, from the PACS to ``folder``, validated."""
    folder.mkdir(parents=True, exist_ok=True)
    reports = []
    numbers: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: (row["job_id"], row["delivery_id"])):
        uid, kind = str(row["sop_instance_uid"]), str(row["object"])
        name = f"{NAMES.get(kind, kind)}-job{row['job_id']}"
        numbers[name] += 1
        content = pacs.fetch(uid)
        if content is None:
            reports.append(
                Report(uid, kind, row["job_id"], None, (), (f"the PACS does not hold it (delivery: {row['state']} {row['note'] or ''})",))
            )
            continue
        path = folder / (f"{name}.dcm" if numbers[name] == 1 else f"{name}-{numbers[name]}.dcm")
        path.write_bytes(content)
        problems, validators = [f"validator: {text}" for text in validate(inflated(content))], ["dicom-node"]
        if shutil.which("dciodvfy"):
            problems += [f"dciodvfy: {text}" for text in dciodvfy(path)]
            validators.append("dciodvfy")
        reports.append(Report(uid, kind, row["job_id"], path, tuple(validators), tuple(problems)))
    return reports


def dciodvfy(path: Path) -> list[str]:
    """The errors that David Clunie's dciodvfy finds; its warnings are left out. Debian's reads no deflated file: it is inflated before."""
    with tempfile.NamedTemporaryFile(suffix=".dcm") as plain:
        plain.write(inflated(path.read_bytes()))
        plain.flush()
        done = subprocess.run(["dciodvfy", plain.name], capture_output=True, text=True, check=False, errors="replace")
    lines = (done.stderr + done.stdout).splitlines()
    return [line.strip() for line in lines if line.startswith("Error")]


def inflated(content: bytes) -> bytes:
    """A file as it was before it went deflated to a PACS that takes that; any other as it is."""
    dataset = dcmread(io.BytesIO(content))
    if dataset.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return content
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
