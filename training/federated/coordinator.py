"""Runs a federated training: round after round, until the version is written.

What a stopped training continues from is one file, replaced as a whole after every round: weights, rounds, plan, and the weights that the
training began with.
"""

import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from core.errors import ConfigurationError, ModelError
from models.card import read_card
from training.federated import flare_processes
from training.federated.federated_version import write_version
from training.federated.local_training import load_ensemble, shared_tensors
from training.federated.plan import FederatedPlan
from training.federated.round_controller import AVERAGED, PLAN_FILE, ROUND, SENT
from training.federated.startup_kits import ADMINISTRATOR, SITES, STORAGE

STATE = "global.safetensors"
ROUNDS, PLAN = "rounds.json", "plan.json"  # for people
CONNECT_S, POLL_S = 120.0, 1.0
START_S = 120.0  # after which a round that no site has begun, because one has left meanwhile, is begun again with those that are there
FAILED_ROUNDS = 5  # in succession, after which the training ends

Answer = TypeVar("Answer")
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
    ConfigurationError
        The plan needs more sites than there are kits, or a port of the coordinator is in use.
    ModelError
        ``out`` holds another training, FLARE's server does not start, or five rounds in succession have too few accepted updates.
    """
    plan.check()
    kit = server_kit(kits)
    require_sites(kits, plan.min_sites)
    out.mkdir(parents=True, exist_ok=True)
    weights, rounds = begin(model, out, plan)
    require_free_ports(kit)
    shutil.rmtree(kit / STORAGE, ignore_errors=True)  # rounds of a coordinator that was stopped, which FLARE would run once more
    server = flare_processes.start_server(kit)
    failed = 0
    try:
        session = _connect(kits / ADMINISTRATOR, server)
        try:
            while len(rounds) < plan.rounds:
                number = len(rounds)
                sites = _wait_for_sites(session, plan.min_sites, server, progress)
                report, averaged = _run_round(session, number, sites, weights, plan, server)
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
                save_state(model, out, plan, weights, rounds)
            session.shutdown("client")
        finally:
            session.close()
    finally:
        flare_processes.stop(server)
    write_version(model, out, weights, plan, rounds)
    return rounds


def describe(report: dict[str, Any], rounds: int) -> str:
    """One line on a round."""
    parts = []
    for site, values in sorted(report["accepted"].items()):
        loss = "stated no loss" if values["loss"] is None else f"loss {values['loss']:.3f}"
        parts.append(f"{site} {loss} ({values['images']} images)")
    parts += [f"{site} refused: {reason}" for site, reason in sorted(report["refused"].items())]
    parts += [f"{site} did not answer" for site in report.get("silent", ())]
    return f"round {report['round'] + 1}/{rounds}: " + "; ".join(parts or ["no site answered"])


def begin(model: Path, out: Path, plan: FederatedPlan) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Weights and finished rounds of the training in ``out``; of a new one the weights of the folder ``model``, and no round.

    Raises ModelError where ``out`` holds a training with another plan, or one that began with other weights.
    """
    card, path = read_card(model / "card.toml"), out / STATE
    if not path.is_file():
        plan.write(out / PLAN)
        return shared_tensors(load_ensemble(card, model / card.weights), plan.scope), []
    try:
        with safe_open(path, "np") as file:
            state = json.loads((file.metadata() or {})["state"])
        stored, origin, rounds = FederatedPlan.read(json.dumps(state["plan"])), state["from_sha256"], state["rounds"]
        weights = load_file(path)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError, ConfigurationError) as error:
        raise ModelError(f"{path} is no state of a federated training: {error}", hint="use an empty folder") from error
    if stored != plan:
        changed = ", ".join(name for name, value in asdict(plan).items() if asdict(stored)[name] != value)
        hint = "use an empty folder, or the options of the first start"
        raise ModelError(f"{out} holds a training with another plan: {changed} differ", hint=hint)
    if origin != card.weights_sha256:
        hint = "use an empty folder, or the version of dicom-node that the training began with"
        raise ModelError(f"{out} holds a training that began with other weights than those of {card.name} {card.version}", hint=hint)
    return weights, rounds


def save_state(model: Path, out: Path, plan: FederatedPlan, weights: dict[str, np.ndarray], rounds: Sequence[dict[str, Any]]) -> None:
    """Write what ``begin`` continues from. A crash at any moment leaves the state before or after the round, and no mixture."""
    state = {"plan": asdict(plan), "from_sha256": read_card(model / "card.toml").weights_sha256, "rounds": list(rounds)}
    part = out / f"{STATE}.part"
    save_file(weights, part, metadata={"state": json.dumps(state)})
    os.replace(part, out / STATE)
    (out / ROUNDS).write_text(json.dumps(state["rounds"], indent=1) + "\n", encoding="utf-8")


def server_kit(kits: Path) -> Path:
    """The coordinator's kit of a training. Raises ModelError where ``kits`` holds none."""
    found = [path.parent.parent for path in kits.glob("*/startup/fed_server.json")]
    if len(found) != 1:
        raise ModelError(f"{kits} holds no kit of a coordinator", hint="give the folder that `dicom-node train federated kits` printed")
    return found[0]


def require_sites(kits: Path, least: int) -> None:
    """Raise ConfigurationError where there are kits of fewer sites than a round needs: it would wait for ever."""
    path = kits / SITES
    sites = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if sites and len(sites) < least:
        hint = "give a smaller --min-sites, or make kits for more sites"
        raise ConfigurationError(f"a round needs {least} sites, and there are kits of {len(sites)}: {', '.join(sites)}", hint=hint)


def require_free_ports(kit: Path) -> None:
    """Raise ConfigurationError where another process listens on a port of the coordinator, for example one that was ended by force."""
    (settings,) = json.loads((kit / "startup" / "fed_server.json").read_text(encoding="utf-8"))["servers"]
    for port in (int(settings["service"]["target"].rpartition(":")[2]), int(settings["admin_port"])):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("", port))
            except OSError as error:
                hint = "another coordinator may still run: end it, then give the same command"
                raise ConfigurationError(f"port {port} of the coordinator cannot be opened: {error.strerror}", hint=hint) from error


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


def _ask(server: "subprocess.Popen[bytes]", question: Callable[[], Answer]) -> Answer:
    """What FLARE's server answers; asked again for a while, because a training of hours must not end with one lost answer."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        try:
            return question()
        except Exception as error:  # FLARE has a dozen kinds for a server that is busy, restarts or has ended
            hint = f"see {flare_processes.LOG} in its kit; the same command continues"
            if server.poll() is not None:
                raise ModelError(f"FLARE's server has ended with status {server.returncode}", hint=hint) from error
            if time.monotonic() > deadline:
                raise ModelError(f"FLARE's server does not answer: {type(error).__name__} {error}", hint=hint) from error
            time.sleep(POLL_S)


def _wait_for_sites(session: Any, least: int, server: "subprocess.Popen[bytes]", progress: Progress) -> list[str]:
    """The names of the connected sites, once there are at least ``least``."""
    said = -1
    while True:
        connected = sorted(client.name for client in _ask(server, session.get_system_info).client_info)
        if len(connected) >= least:
            return connected
        if len(connected) != said:
            progress(f"{len(connected)} of at least {least} sites are connected: {', '.join(connected) or 'none'}; waiting")
            said = len(connected)
        time.sleep(POLL_S)


def _run_round(
    session: Any, number: int, sites: Sequence[str], weights: dict[str, np.ndarray], plan: FederatedPlan, server: "subprocess.Popen[bytes]"
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """Run one round; its report, and the averaged weights, None where too few updates were accepted."""
    report: dict[str, Any] = {"round": number, "accepted": {}, "refused": {}}
    averaged = None
    with tempfile.TemporaryDirectory(prefix="dicom-node-round-") as folder:
        job = Path(folder) / f"round-{number}"
        flare_processes.write_job(job, number, sites, plan.min_sites)
        save_file(weights, flare_processes.coordinator_files(job) / SENT)
        plan.write(flare_processes.coordinator_files(job) / PLAN_FILE)
        id = session.submit_job(str(job))
        if _wait_for_job(session, id, plan.round_s, server):
            result = Path(_ask(server, lambda: session.download_job_result(id, str(Path(folder) / "result"))))
            written, weighed = next(iter(result.rglob(ROUND)), None), next(iter(result.rglob(AVERAGED)), None)
            report = report if written is None else json.loads(written.read_text(encoding="utf-8"))
            averaged = None if weighed is None else load_file(weighed)
            _ask(server, lambda: session.delete_job(id))  # with its weights, which FLARE would keep for ever
    report["silent"] = sorted({*sites} - {*report["accepted"], *report["refused"]})
    return report, averaged


def _wait_for_job(session: Any, id: str, round_s: float, server: "subprocess.Popen[bytes]") -> bool:
    """Wait until FLARE has run the job of a round; False where it had to be aborted."""
    begun, aborted = time.monotonic(), False
    while not (status := str(_ask(server, lambda: session.get_job_meta(id)).get("status", ""))).startswith("FINISHED"):
        waits = status in ("", "SUBMITTED", "APPROVED")
        if not aborted and time.monotonic() - begun > (START_S if waits else START_S + round_s + CONNECT_S):
            _ask(server, lambda: session.abort_job(id))
            aborted = True
        time.sleep(POLL_S)
    return not aborted
