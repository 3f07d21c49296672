"""Runs inside FLARE at a site: refuses every job that is not the round of a training as `train federated server` writes it.

FLARE's list of allowed classes does not hold for a job that brings code of its own (its folder ``custom``), and by its own default the
administrator of a training may send such jobs. A site therefore compares what it is to deploy with what a round consists of.
"""

import json
from pathlib import Path
from typing import Any

from nvflare.apis.app_validation import AppValidator
from nvflare.lighter.tool_consts import NVFLARE_SIG_FILE, NVFLARE_SUBMITTER_CRT_FILE

from training.federated.flare_processes import SITE_CONFIG, site_config

SIGNATURE = (NVFLARE_SIG_FILE, NVFLARE_SUBMITTER_CRT_FILE)  # FLARE adds them to every folder of a job that is submitted


class RoundJobsOnly(AppValidator):  # type: ignore[misc]
    """FLARE's check of a job before it is deployed."""

    def validate(self, app_folder: str) -> tuple[str, dict[str, Any]]:
        """("", {}) for a round; else why the folder of the job is refused."""
        folder = Path(app_folder)
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
        files -= {path for path in files if Path(path).name in SIGNATURE}
        if files != {SITE_CONFIG}:
            other = sorted(files - {SITE_CONFIG})
            return f"a job of a training holds {SITE_CONFIG} alone for a site, this one {', '.join(other[:3]) or 'nothing'}", {}
        try:
            config = json.loads((folder / SITE_CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            config = None
        return ("", {}) if config == site_config() else (f"{SITE_CONFIG} is not that of a round of this version of dicom-node", {})
