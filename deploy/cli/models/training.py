"""Commands that train and measure models. They need the top-level package ``training``, which the container images do not have."""

import importlib.util
import json
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.models.installed import require_shipped_model
from deploy.terminal import print_json, print_message, to_json_types

Name = Annotated[str, typer.Argument(metavar="NAME", help="shipped model, see `models list`")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="folder of the data set")]


def train(
    name: Name,
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder: weights.safetensors, card.toml and metrics.json")],
    seed: Annotated[int | None, typer.Option("--seed", help="random seed (default: the recipe's)", show_default=False)] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="number of epochs (default: the recipe's)", show_default=False)
    ] = None,
    fold: Annotated[int | None, typer.Option("--fold", min=0, help="fold that is held out (default: 0)", show_default=False)] = None,
    init: Annotated[Path | None, typer.Option("--init", metavar="FILE", help="initial weights (safetensors)", show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume/--afresh", help="continue from a checkpoint of the same recipe in DIR")] = True,
) -> None:
    """Train a model, and print its metrics.

    Training is reproducible. It continues where DIR has a checkpoint.
    """
    _require_training()
    from training import commands

    options = {"seed": seed, "fold": fold, "epochs": epochs, "init": init}
    print_json(commands.train(require_shipped_model(name), _require_folder(data), out, options, resume=resume, progress=print_message))


def crossval(
    name: Name,
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="output folder: one folder for each fold, crossval.json and figures")],
    only_report: Annotated[bool, typer.Option("--only-report", help="train nothing: evaluate the folds that exist")] = False,
) -> None:
    """Cross-validate a model.

    Trains and evaluates it fold by fold, and prints the metrics over all folds. Continues where it was interrupted.
    """
    _require_training()
    from training import commands

    model, folder = require_shipped_model(name), _require_folder(data)
    print_json(commands.crossval(model, folder, out, only_report=only_report, progress=print_message))


def evaluate(
    name: Name,
    data: Data,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="file for the metrics (default: standard output)", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="output folder: figures, metrics with intervals", show_default=False),
    ] = None,
    version: Annotated[
        Path | None, typer.Option("--version", metavar="DIR", help="output of `models train` (default: the shipped)", show_default=False)
    ] = None,
) -> None:
    """Evaluate a version on held-out data.

    With --out, the answers of a classifier are written too: beside card.toml and weights they let `models activate` compare versions.
    """
    _require_training()
    from training import commands

    model, folder = require_shipped_model(name), _require_folder(data)
    if out is None:
        if version is not None:
            raise typer.BadParameter("needs --out", param_hint="--version")
        metrics = commands.evaluate(model, folder, progress=print_message)
    else:
        metrics = commands.evaluate_into(model, folder, out, version=version, progress=print_message)
    if json_file is None:
        print_json(metrics)
    else:
        json_file.write_text(json.dumps(to_json_types(metrics), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def docs(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="folder (default: docs/models)", show_default=False)] = None,
) -> None:
    """Write the documentation pages from the cards."""
    _require_training()
    from training.pages import model_pages

    folder = out or model_pages.PAGES
    for path in model_pages.write_pages(folder):
        print_message(f"written: {path}")
    print_message(f"the pages in {folder} agree with the cards")


def _require_training() -> None:
    if importlib.util.find_spec("training") is None:
        raise ConfigurationError("this installation has no training code", hint="use a checkout of the repository: make models")


def _require_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ConfigurationError(f"{path} is not a folder", hint="--data takes the folder of the data set")
    return path
