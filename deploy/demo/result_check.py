"""Fetches the result objects from the PACS and validates them."""

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

from core.states import ResultKind
from deploy.demo.pacs.interface import Pacs
from workers.encode.validate.validator import validate

NAMES = {ResultKind.SR.value: "report"}


@dataclass(frozen=True, slots=True)
class FetchedObject:
    """One result object as the PACS stores it. ``problems`` is empty when it is there and valid for every validator."""

    sop_instance_uid: str
    kind: str
    job_id: int
    path: Path | None
    validators: tuple[str, ...]
    problems: tuple[str, ...]


def fetch_results(pacs: Pacs, rows: "list[Mapping[str, Any]]", folder: Path) -> list[FetchedObject]:
    """Fetch the object of every delivery from the PACS, write it to ``folder`` and validate it. ``rows``: of ``v_deliveries``."""
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    numbers: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: (row["job_id"], row["delivery_id"])):
        uid, kind = str(row["sop_instance_uid"]), str(row["object"])
        name = f"{NAMES.get(kind, kind)}-job{row['job_id']}"
        numbers[name] += 1
        content = pacs.fetch(uid)
        if content is None:
            problem = f"the PACS does not have it (delivery: {row['state']} {row['note'] or ''})"
            fetched.append(FetchedObject(uid, kind, row["job_id"], None, (), (problem,)))
            continue
        path = folder / (f"{name}.dcm" if numbers[name] == 1 else f"{name}-{numbers[name]}.dcm")
        path.write_bytes(content)
        problems, validators = [f"validator: {text}" for text in validate(inflate_data_set(content))], ["dicom-node"]
        if shutil.which("dciodvfy"):
            problems += [f"dciodvfy: {text}" for text in dciodvfy_errors(path)]
            validators.append("dciodvfy")
        fetched.append(FetchedObject(uid, kind, row["job_id"], path, tuple(validators), tuple(problems)))
    return fetched


def dciodvfy_errors(path: Path) -> list[str]:
    """Return the errors (not the warnings) that David Clunie's dciodvfy finds in a file.

    Debian's build cannot read deflated data sets: they are inflated before.
    """
    with tempfile.NamedTemporaryFile(suffix=".dcm") as plain:
        plain.write(inflate_data_set(path.read_bytes()))
        plain.flush()
        done = subprocess.run(["dciodvfy", plain.name], capture_output=True, text=True, check=False, errors="replace")
    lines = (done.stderr + done.stdout).splitlines()
    return [line.strip() for line in lines if line.startswith("Error")]


def inflate_data_set(content: bytes) -> bytes:
    """Return a file with a deflated data set (PS3.5 A.5) as Explicit VR Little Endian; any other file unchanged."""
    dataset = dcmread(io.BytesIO(content))
    if dataset.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return content
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
