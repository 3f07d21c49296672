"""Commands on models: list, card, hashes. Those that change which version is used are in `versions`, training in `training`."""

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.cli.common import AsJson, Config, read_settings
from deploy.cli.models import training, versions
from deploy.cli.models.card_text import print_card
from deploy.cli.models.installed import model_folder, registered_models, require_shipped_model, version_rows
from deploy.cli.models.versions import Name
from deploy.terminal import print_json, print_rows, to_json_types

app = typer.Typer(help="List, verify, import, activate, train and evaluate models.")
COLUMNS = ("name", "version", "state", "origin", "status", "task", "unit", "weights")


@app.command("list")
def list_models(config: Config = None, as_json: AsJson = False) -> None:
    """List all versions of all models.

    With their state on this node, their status, and whether the weights have the hash of the card.
    """
    from models import installed

    settings = read_settings(config)
    registered = registered_models(settings)
    names = sorted({*installed.names(model_folder(settings)), *(one.name for one in registered)})
    rows = [row for name in names for row in version_rows(name, settings, registered)]
    print_rows(rows, COLUMNS, title="models", as_json=as_json)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Print the card of a model.

    It states what the model is for, what it is not for, and what was measured.
    """
    from models import registry

    card = registry.card(require_shipped_model(name))
    document = {**asdict(card), "digest": registry.pipeline_digest(name)}
    if as_json:
        print_json(document)
    else:
        print_card(to_json_types(document))


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="models (default: every model)", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the cards and weights of the shipped models.

    Each card must be readable, and each file of weights must have the SHA-256 that the card of its model states.
    """
    from models import registry

    rows = []
    for name in names or registry.names():
        problem = registry.model_problem(require_shipped_model(name))
        rows.append({"name": name, "ok": not problem, "found": problem or "verified"})
    print_rows(rows, ["name", "ok", "found"], title="weights", as_json=as_json)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


app.command("import")(versions.import_model)
for command in (
    *(versions.activate, versions.shadow, versions.retire, versions.rollback),
    *(versions.compare, versions.drift),
    *(training.train, training.crossval, training.evaluate, training.docs),
):
    app.command()(command)
