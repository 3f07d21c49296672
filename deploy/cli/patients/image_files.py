"""Copies the DICOM files of a person into the folder of the report: received images, results, refused data sets."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import StorageError
from deploy.local.private_files import make_private_folder

if TYPE_CHECKING:
    from db.blobs.reader import BlobReader

_UNSAFE = re.compile(r"[^0-9A-Za-z.]")


def copy_files(blobs: "BlobReader", document: Mapping[str, Any], folder: Path) -> list[str]:
    """Copy every file that retention has not deleted; return the names of those whose blob is missing. Raises OSError."""
    missing = []
    for name, sha256 in file_names(document):
        target = folder / name
        make_private_folder(target.parent)
        try:
            with blobs.fetch(sha256).open("rb") as source:
                descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
        except (FileNotFoundError, StorageError):
            missing.append(name)
    return missing


def file_names(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (path below the folder, SHA-256) of each file, but of images whose own header names somebody else.

    UIDs come from the sender: only digits, letters and dots become part of a path.
    """
    for image in document["images"]:
        if image["removed_at"] is None and not image["of_another_person"]:
            unit, uid = image["unit_id"], _UNSAFE.sub("_", image["sop_instance_uid"])
            yield f"images/study-{image['study_id']}/unit-{unit}/{image['id']}-{uid}.dcm", image["sha256"]
    for made in document["objects"]:
        if made["removed_at"] is None:
            yield f"results/study-{made['study_id']}/analysis-{made['job_id']}/{made['id']}-{made['kind']}.dcm", made["sha256"]
    for item in document["quarantined"]:
        yield f"refused/{item['id']}.dcm", item["sha256"]
