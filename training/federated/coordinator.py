"""Runs a federated training: round after round, until the version is written."""

import io
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from core.errors import ModelError
from models.card import read_card
from training.federated import flare_processes
from training.federated.federated_version import write_version
from training.federated.local_training import load_ensemble, shared_tensors
from training.federated.plan import FederatedPlan
from training.federated.round_controller import AVERAGED, PLAN_FILE, ROUND, SENT
from training.federated.startup_kits import ADMINISTRATOR

WEIGHTS, ROUNDS, PLAN = "global.safetensors", "rounds.json", "plan.json"
CONNECT_S, POLL_S = 120.0, 1.0
FAILED_ROUNDS = 5  # in succession, after which the training ends

Progress = Callable[[str], None]


def run_coordinator(kits: Path, model: Path, out: Path, plan: FederatedPlan, progress: Progress = print) -> list[dict[str, Any]]:
    """Train, and write weights and card of the result to ``out``; return what happened in each round.

    Continues after the last finished round where ``out`` holds a training of the same plan.

    Parameters
    ----------
    kits
        The folder of `train federated kits` that holds the coordinator's kits.
    model
        Folder with the card and the weights to start from.

    Raises
    ------
    ModelError
        ``out`` holds another training, FLARE's server does not start, or five rounds in succession have too few accepted updates.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights, rounds = _begin(model, out, plan)
    server = flare_processes.start_server(_server_kit(kits))
    failed = 0
    try:
        session = _connect(kits / ADMINISTRATOR, server)
        try:
            while len(rounds) < plan.rounds:
                number = len(rounds)
                sites = _wait_for_sites(session, plan.min_sites, server, progress)
                report, averaged = _run_round(session, number, sites, weights, plan)
                progress(describe(report, plan.rounds))
                if averaged is None:
                    failed += 1
                    if failed == FAILED_ROUNDS:
                        raise ModelError(
                            f"round {number + 1} failed {failed} times: {plan.min_sites} accepted updates are needed",
                            hint=f"{flare_processes.LOG} in the kits of the sites says why; the same command continues",
                        )
                    continue
                failed, weights = 0, averaged
                rounds.append(report)
                save_file(weights, out / WEIGHTS)
                (out / ROUNDS).write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
            session.shutdown("client")
        finally:
            session.close()
    finally:
        flare_processes.stop(server)
    write_version(model, out, weights, plan, rounds)
    return rounds


def describe(report: dict[str, Any], rounds: int) -> str:
    """One line on a round."""
    accepted = [f"{site} loss {values['loss']:.3f} ({values['images']} images)" for site, values in sorted(report["accepted"].items())]
    refused = [f"{site} refused: {reason}" for site, reason in report["refused"].items()]
    return f"round {report['round'] + 1}/{rounds}: " + "; ".join([*accepted, *refused] or ["no site answered"])


def _begin(model: Path, out: Path, plan: FederatedPlan) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    if (out / PLAN).is_file():
        if FederatedPlan.read((out / PLAN).read_text(encoding="utf-8")) != plan:
            raise ModelError(f"{out} holds a training with another plan", hint="use an empty folder, or the options of the first start")
    else:
        plan.write(out / PLAN)
    if (out / ROUNDS).is_file():
        return load_file(out / WEIGHTS), json.loads((out / ROUNDS).read_text(encoding="utf-8"))
    card = read_card(model / "card.toml")
    return shared_tensors(load_ensemble(card, model / card.weights), plan.scope), []


def _server_kit(kits: Path) -> Path:
    found = [path.parent.parent for path in kits.glob("*/startup/fed_server.json")]
    if len(found) != 1:
        raise ModelError(f"{kits} holds no kit of a coordinator", hint="give the folder that `dicom-node train federated kits` printed")
    return found[0]


def _connect(kit: Path, server: "subprocess.Popen[bytes]") -> Any:
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    deadline = time.monotonic() + CONNECT_S
    while True:
        if server.poll() is not None:
            raise ModelError(f"FLARE's server has ended with status {server.returncode}", hint=f"see {flare_processes.LOG} in its kit")
        try:
            with redirect_stdout(io.StringIO()):  # it prints that it connects
                return new_secure_session(ADMINISTRATOR, str(kit.resolve()), timeout=10.0)
        except Exception as error:  # FLARE raises several kinds while its server starts
            if time.monotonic() > deadline:
                raise ModelError(f"FLARE's server cannot be reached: {error}", hint=f"see {flare_processes.LOG} in its kit") from error
            time.sleep(POLL_S)


def _wait_for_sites(session: Any, least: int, server: "subprocess.Popen[bytes]", progress: Progress) -> list[str]:
    """The names of the connected sites, once there are at least ``least``."""
    said = -1
    while True:
        connected = sorted(client.name for client in session.get_system_info().client_info)
        if len(connected) >= least:
            return connected
        if len(connected) != said:
            progress(f"{len(connected)} of at least {least} sites are connected: {', '.join(connected) or 'none'}; waiting")
            said = len(connected)
        if server.poll() is not None:
            raise ModelError("FLARE's server has ended", hint=f"see {flare_processes.LOG} in its kit")
        time.sleep(POLL_S)


def _run_round(
    session: Any, number: int, sites: Sequence[str], weights: dict[str, np.ndarray], plan: FederatedPlan
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """Run one round; its report, and the averaged weights, None where too few updates were accepted."""
    with tempfile.TemporaryDirectory(prefix="dicom-node-round-") as folder:
        job = Path(folder) / f"round-{number}"
        flare_processes.write_job(job, number, sites, plan.min_sites)
        save_file(weights, flare_processes.coordinator_files(job) / SENT)
        plan.write(flare_processes.coordinator_files(job) / PLAN_FILE)
        id = session.submit_job(str(job))
        while not str(session.get_job_meta(id).get("status", "")).startswith("FINISHED"):
            time.sleep(POLL_S)
        result = Path(session.download_job_result(id, str(Path(folder) / "result")))
        report = next(iter(result.rglob(ROUND)), None)
        averaged = next(iter(result.rglob(AVERAGED)), None)
        if report is None:
            return {"round": number, "accepted": {}, "refused": {}}, None
        return json.loads(report.read_text(encoding="utf-8")), None if averaged is None else load_file(averaged)
