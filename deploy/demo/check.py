"""Reports as the PACS holds them: there, and valid."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.states import ReportKind
from deploy.demo.pacs import Pacs
from workers.encode.validate import validate


@dataclass(frozen=True, slots=True)
class Report:
    """One structured report, fetched back. ``problems`` is empty where it is there and every validator is content."""

    sop_instance_uid: str
    job_id: int
    path: Path | None
    validators: tuple[str, ...]
    problems: tuple[str, ...]


def fetch_all(pacs: Pacs, rows: "list[Mapping[str, Any]]", folder: Path) -> list[Report]:
    """Every SR of the delivery rows, from the PACS to ``folder``, validated."""
    folder.mkdir(parents=True, exist_ok=True)
    reports = []
    for row in sorted(rows, key=lambda row: (row["job_id"], row["delivery_id"])):
        if row["object"] != ReportKind.SR:
            continue
        uid = str(row["sop_instance_uid"])
        content = pacs.fetch(uid)
        if content is None:
            reports.append(
                Report(uid, row["job_id"], None, (), (f"the PACS does not hold it (delivery: {row['state']} {row['note'] or ''})",))
            )
            continue
        path = folder / f"report-job{row['job_id']}.dcm"
        path.write_bytes(content)
        problems, validators = [f"validator: {text}" for text in validate(content)], ["dicom-node"]
        if shutil.which("dciodvfy"):
            problems += [f"dciodvfy: {text}" for text in dciodvfy(path)]
            validators.append("dciodvfy")
        reports.append(Report(uid, row["job_id"], path, tuple(validators), tuple(problems)))
    return reports


def dciodvfy(path: Path) -> list[str]:
    """The errors that David Clunie's dciodvfy finds; its warnings are left out."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace")
    lines = (done.stderr + done.stdout).splitlines()
    return [line.strip() for line in lines if line.startswith("Error")]
