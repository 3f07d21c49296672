"""Starts and ends FLARE's processes of a kit, and writes the job of a round."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.clock import Clock, system_clock
from core.errors import ConfigurationError
from training.federated.startup_kits import CONTROLLER, EXECUTOR, require_valid_certificates, restrict

STOP_S = 20.0
LOG = "flare.log"  # of FLARE's own messages, in the kit
SITE_CONFIG = "config/config_fed_client.json"  # of a job, at a site


def start_server(kit: Path) -> "subprocess.Popen[bytes]":
    """Start FLARE's server of the coordinator's kit. Raises ConfigurationError where the folder is no such kit."""
    return _start(kit, "server.server_train", "fed_server.json", "coordinator", {})


def start_client(kit: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start FLARE's client of a site's kit; ``environment`` tells the executor where images and networks are."""
    return _start(kit, "client.client_train", "fed_client.json", "site", environment, f"uid={kit.name}")


def _start(
    kit: Path, module: str, settings: str, org: str, environment: Mapping[str, str], *more: str, clock: Clock = system_clock
) -> "subprocess.Popen[bytes]":
    kit = kit.resolve()
    if not (kit / "startup" / settings).is_file():
        raise ConfigurationError(f"{kit} has no startup/{settings}", hint="give the folder that `dicom-node train federated kits` wrote")
    require_valid_certificates(kit, clock())
    restrict(kit)
    command = [sys.executable, "-m", f"nvflare.private.fed.app.{module}", "-m", str(kit), "-s", settings]
    command += ["--set", "secure_train=true", f"org={org}", "config_folder=config", *more]
    with (kit / LOG).open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, cwd=kit, env={**os.environ, **environment}, start_new_session=True
        )  # with its own job processes in one group, which ends as a whole


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and those that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_S)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def write_job(folder: Path, number: int, sites: Sequence[str], least_sites: int) -> None:
    """Write the FLARE job of round ``number`` (from 0) for the connected ``sites``; see ``coordinator_files`` for more files of it."""
    parts = {"coordinator": ["server"], "site": list(sites)}
    meta = {"name": f"round-{number}", "resource_spec": {}, "min_clients": least_sites, "deploy_map": parts}
    server = {"format_version": 2, "workflows": [{"id": "round", "path": CONTROLLER, "args": {"number": number}}], "components": []}
    for name, content in (
        ("meta.json", meta),
        ("coordinator/config/config_fed_server.json", server),
        (f"site/{SITE_CONFIG}", site_config()),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def site_config() -> dict[str, Any]:
    """All that a site receives with the job of a round, but the weights; a site refuses every other job."""
    executor = {"tasks": ["train"], "executor": {"id": "site", "path": EXECUTOR, "args": {}}}
    return {"format_version": 2, "executors": [executor], "components": []}


def coordinator_files(folder: Path) -> Path:
    """Where files go that only the coordinator's part of a job receives."""
    return folder / "coordinator" / "config"
