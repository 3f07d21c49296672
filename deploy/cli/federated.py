"""``train federated``: training across sites. Only weights leave a site; FLARE connects the sites over mutual TLS."""

import csv
import hashlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from core.counted import counted
from core.errors import ConfigurationError, NodeError
from deploy.cli.common import Config, open_database, operator_name
from deploy.terminal import print_message

train = typer.Typer(help="Train a model across sites.", no_args_is_help=True)
app = typer.Typer(help="Train across sites: only weights leave a site.", no_args_is_help=True)
train.add_typer(app, name="federated")

Kit = Annotated[Path, typer.Argument(metavar="KIT", help="folder that `train federated kits` wrote")]
Model = Annotated[str, typer.Option("--model", metavar="NAME", help="shipped model that is trained further")]


@app.command("kits")
def kits(
    server: Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="address for the sites; the next port is used too")],
    site: Annotated[list[str], typer.Option("--site", metavar="NAME", help="a site; give it once for each")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder: certificates for coordinator and sites")],
) -> None:
    """Make the certificates and settings of one training.

    The folder of a site holds its private key: hand it over in a safe way, to this site alone.
    """
    _require_flare()
    from training.federated.startup_kits import write_startup_kits

    host, _, port = server.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise ConfigurationError(f"--server is HOST:PORT, not {server!r}", hint="for example coordinator.example.org:8002")
    folder = write_startup_kits(out, host, int(port), site)
    print_message(f"kits of the coordinator ({host}) and of {', '.join(site)}: {folder}")


@app.command("server")
def server(
    kit: Kit,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder: weights.safetensors, card.toml and rounds.json")],
    model: Model = "dermoscopy_7class",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="rounds in all")] = 10,
    steps: Annotated[int, typer.Option("--steps", min=1, help="training steps of a site in each round")] = 40,
    scope: Annotated[str, typer.Option("--scope", help="head: the last layer; all: every layer")] = "head",
    min_sites: Annotated[int, typer.Option("--min-sites", min=2, help="accepted updates that a round needs")] = 2,
    round_s: Annotated[int, typer.Option("--round-s", min=1, help="a round ends after this many seconds, with what has arrived")] = 3600,
) -> None:
    """Coordinate a training across sites.

    Sends the weights to the sites, checks their updates and averages them, round after round. KIT is the folder that holds the kits of all.
    Continues where DIR has a training with the same options.
    """
    _require_flare()
    from models import registry
    from training.federated.coordinator import run_coordinator
    from training.federated.plan import FederatedPlan

    plan = FederatedPlan(rounds=rounds, steps=steps, scope=scope, min_sites=min_sites, round_s=round_s)
    plan.check()
    _end_by_exception()
    run_coordinator(kit, registry.folder(_trainable(model)), out, plan, print_message)
    print_message(f"written: {out / 'card.toml'}; measure it with `models evaluate {model} --version {out}`, then `models import {out}`")


@app.command("client")
def client(
    kit: Kit,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="labelled images of this site, see `train federated export`")],
    model: Model = "dermoscopy_7class",
    epsilon: Annotated[
        float, typer.Option("--epsilon", min=0, help="noise on every update, less with a larger number; 0: none. No guarantee of privacy")
    ] = 0.0,
) -> None:
    """Take part in a training with the images of this site.

    The coordinator ends it. Only the changes of the weights and the number of images are sent. What is read here is chosen by this command,
    not by the coordinator.
    """
    _require_flare()
    from models import registry
    from models.card import read_card
    from training.federated import flare_processes, startup_kits
    from training.federated.local_training import load_ensemble, shared_tensors
    from training.federated.plan import HEAD
    from training.federated.site_executor import DATA, MODEL
    from training.federated.site_images import read_site_images

    startup_kits.require_noise(epsilon)
    folder = registry.folder(_trainable(model))
    images = read_site_images(data)
    if epsilon:
        card = read_card(folder / "card.toml")
        values = sum(tensor.size for tensor in shared_tensors(load_ensemble(card, folder / card.weights), HEAD).values())
        budget = startup_kits.privacy_budget(epsilon, values)
        print_message(
            f"noise on every update: FLARE counts a privacy budget of {budget:,.0f} for a round of the last layers, which guarantees no"
            " privacy; the number of images and the mean loss are sent as they are"
        )
    print_message(f"{counted(len(images.labels), 'image')}; connecting (details in {kit / flare_processes.LOG})")
    startup_kits.write_privacy(kit, epsilon)
    _end_by_exception()
    process = flare_processes.start_client(kit, {DATA: str(data.resolve()), MODEL: str(folder)})
    try:
        status = process.wait()
    finally:
        flare_processes.stop(process)
    if status:
        raise NodeError(f"FLARE's client ended with status {status}", hint=f"see {kit / flare_processes.LOG}")
    print_message("the coordinator has ended the training")


@app.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder: index.csv and one PNG for each image")],
    model: Model = "dermoscopy_7class",
    config: Config = None,
) -> None:
    """Write labelled images for `train federated client`.

    These are the images with a current verdict, accepted or corrected. The files hold pixels alone, without the header. The export is an
    audit event.
    """
    from PIL import Image

    from db.blobs.open_blobs import open_reader
    from db.operations.data_audit import record_export
    from db.verdicts.labelled_images import labelled_images
    from imaging.photograph.read import read_photograph
    from models import registry

    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty", hint="use another folder")
    out.mkdir(parents=True, exist_ok=True)
    with open_database(config) as (settings, database):
        found = labelled_images(database, model)
        known = {label.name for label in registry.card(_trainable(model)).labels}
        strange = sorted({image.label for image in found} - known)
        if strange:
            count = sum(image.label in strange for image in found)
            print_message(f"{counted(count, 'image is', 'images are')} left out: {model} has no label {', '.join(strange)}")
        found = [image for image in found if image.label in known]
        if not found:
            raise NodeError(f"no image with a result of {model} has a verdict yet", hint="verdicts are given in the console")
        record_export(database, "labelled images", actor=operator_name(), details={"model": model, "images": len(found)})
        reader = open_reader(settings)
        with (out / "index.csv").open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(("file", "label"))
            for image in found:
                name = hashlib.sha256(image.sha256.encode()).hexdigest()[:20] + ".png"
                Image.fromarray(read_photograph(reader.fetch(image.sha256)).rgb).save(out / name)
                writer.writerow((name, image.label))
    print_message(f"{counted(len(found), 'image')}: {out}")


def _end_by_exception() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that FLARE's processes are ended too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _trainable(model: str) -> str:
    from deploy.cli.models.installed import require_shipped_model

    if require_shipped_model(model) != "dermoscopy_7class":
        raise ConfigurationError(f"{model} cannot be trained across sites", hint="dermoscopy_7class can")
    return model


def _require_flare() -> None:
    from importlib.util import find_spec

    if find_spec("training") is None or find_spec("nvflare") is None:
        raise ConfigurationError(
            "a training across sites needs a checkout of the repository and NVIDIA FLARE",
            hint="pip install -r requirements/torch.txt -r requirements/federated.txt",
        )
