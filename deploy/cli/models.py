"""Models: their cards, their hashes, training and measuring them. Which version serves: `deploy.cli.registry`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import ConfigurationError, ModelError
from deploy.cli import registry as serving
from deploy.cli.common import AsJson, Config, emit, listing, plain, say, settings_of
from deploy.cli.predict import known_model

app = typer.Typer(help="The models, and which version of each serves.")
app.command("import")(serving.import_)
for command in (serving.activate, serving.shadow, serving.retire, serving.rollback, serving.compare, serving.drift):
    app.command()(command)
Name = Annotated[str, typer.Argument(metavar="NAME", help="a name of `models list`")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="the data set's folder")]


@app.command("list")
def list_models(config: Config = None, as_json: AsJson = False) -> None:
    """All versions of all models: state (where a node runs), status, whether the weights are those of the card."""
    from models import installed

    settings = settings_of(config)
    known = serving.registered(settings)
    rows = [row for name in installed.names(serving.folder_of(settings)) for row in serving.versions(name, settings, known)]
    columns = ["name", "version", "state", "origin", "status", "task", "unit", "weights"]
    listing(rows, columns, title="models", as_json=as_json)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """A model's card: what it is, what it is not for, what was measured."""
    from models import registry

    card = registry.card(known_model(name))
    document = {**asdict(card), "digest": registry.pipeline_digest(name)}
    if as_json:
        emit(document)
    else:
        _tell(plain(document))


def _tell(document: Mapping[str, Any], indent: str = "") -> None:
    for key, value in document.items():
        if isinstance(value, dict):
            say(f"{indent}{key}:")
            _tell(value, indent + "  ")
        elif isinstance(value, list):
            say(f"{indent}{key}:")
            for item in value:
                say(f"{indent}  - {json.dumps(item, ensure_ascii=False) if isinstance(item, dict | list) else item}")
        else:
            say(f"{indent}{key}: {value}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="without it, every model", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Whether the weights are those of the card (sha256)."""
    from models import registry

    rows = [
        {"name": name, "ok": not (problem := _weights(known_model(name))), "found": problem or "verified"}
        for name in names or registry.names()
    ]
    listing(rows, ["name", "ok", "found"], title="weights", as_json=as_json)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def _weights(name: str) -> str:
    """What is wrong with the weights of ``name``; empty where nothing is."""
    from models import registry

    try:
        registry.verify(name)
    except ModelError as error:
        return str(error)
    return ""


@app.command()
def docs(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="without it the checkout's", show_default=False)] = None,
) -> None:
    """Write the models' pages anew from their cards."""
    from training import model_pages

    folder = out or model_pages.PAGES
    for path in model_pages.write(folder):
        say(f"written: {path}")
    say(f"{folder} says what the cards say")


@app.command()
def train(
    name: Name,
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="weights.safetensors, card.toml, metrics.json go here")],
    seed: Annotated[int | None, typer.Option("--seed", help="of every random choice; without it the recipe's", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="without it the recipe's", show_default=False)] = None,
    fold: Annotated[int | None, typer.Option("--fold", min=0, help="which part is held out; without it 0", show_default=False)] = None,
    init: Annotated[
        Path | None, typer.Option("--init", metavar="FILE", help="begin with these weights (safetensors)", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--afresh", help="go on from a checkpoint of the same recipe in DIR")] = True,
) -> None:
    """Train a model: seeded, reproducible, resumed where DIR holds a checkpoint."""
    from training import commands

    asked = {"seed": seed, "fold": fold, "epochs": epochs, "init": init}
    metrics = commands.train(known_model(name), _folder(data), out, asked, resume=resume, progress=say)
    emit(metrics)


@app.command()
def crossval(
    name: Name,
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="a folder for every fold, crossval.json and pictures go here")],
    only_report: Annotated[bool, typer.Option("--only-report", help="train nothing: measure the folds that are there")] = False,
) -> None:
    """Train and measure a model fold by fold, resumed where it stopped; figures over all folds that are there."""
    from training import commands

    emit(commands.crossval(known_model(name), _folder(data), out, only_report=only_report, progress=say))


@app.command()
def evaluate(
    name: Name,
    data: Data,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="else standard output", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="pictures and figures with intervals go here", show_default=False)
    ] = None,
) -> None:
    """The shipped weights' figures on the held-out part of a data set; with --out as pictures too, and with intervals."""
    from training import commands

    folder = _folder(data)
    if out is None:
        metrics = commands.evaluate(known_model(name), folder, progress=say)
    else:
        metrics = commands.evaluate_into(known_model(name), folder, out, progress=say)
    if json_file is None:
        emit(metrics)
    else:
        json_file.write_text(json.dumps(plain(metrics), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ConfigurationError(f"{path} is no folder", hint="--data takes the folder that holds the data set")
    return path
