"""Chooses the PACS of the demo: Orthanc where it is installed, else a small storage SCP."""

import shutil
from pathlib import Path

from deploy.demo.pacs.interface import Pacs
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.pacs.storage_scp import StorageScp


def choose_pacs(folder: Path, *, orthanc: bool | None = None) -> Pacs:
    """Return Orthanc if ``orthanc``, the storage SCP if not; None: Orthanc if it is installed. It is not started yet."""
    program = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
    use_orthanc = program is not None if orthanc is None else orthanc
    return Orthanc(program or "Orthanc", folder) if use_orthanc else StorageScp(folder)
