"""The versions of a model that are installed or were registered, as the commands list and choose them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from core.errors import StorageError
from deploy.cli.common import with_running_servers
from deploy.terminal import print_message

if TYPE_CHECKING:
    from core.records import RegisteredModel
    from core.settings.settings import Settings
    from models.installed import ModelVersion


def model_folder(settings: "Settings") -> Path:
    """Return the folder of the models that were imported on this node."""
    from models import installed

    return settings.node.data_dir / installed.FOLDER


def require_model(name: str, settings: "Settings", registered: Iterable["RegisteredModel"] = ()) -> str:
    """Return ``name`` if a model of that name is shipped, installed or ``registered``; otherwise it is wrong usage."""
    from models import installed

    known = {*installed.names(model_folder(settings)), *(one.name for one in registered)}
    return _require_one_of(name, sorted(known), "NAME")


def require_shipped_model(name: str, argument: str = "NAME") -> str:
    """Return ``name`` if a model of that name is shipped; otherwise it is wrong usage."""
    from models import registry

    return _require_one_of(name, registry.names(), argument)


def find_verified_version(name: str, version: str, settings: "Settings") -> "ModelVersion":
    """Return a version of a model whose weights have the hash of its card.

    Raises
    ------
    ModelError
        There is no such version, or its weights were changed.
    """
    from models import installed, registry

    place = installed.find_version(require_model(name, settings), version, model_folder(settings))
    registry.check_weights(place.folder)
    return place


def registered_models(settings: "Settings") -> tuple["RegisteredModel", ...]:
    """Return the models that the database knows; none, with a message, when no database can be reached."""
    from db.listings.models import registered_models as read_models
    from db.listings.reader import ReadingConnection

    url = with_running_servers(settings).database.url
    if not url:
        return ()
    try:
        with ReadingConnection(url) as reader:
            return read_models(reader)
    except StorageError as error:
        print_message(f"states are not shown: {error}")
        return ()


def version_rows(name: str, settings: "Settings", registered: tuple["RegisteredModel", ...]) -> list[dict[str, Any]]:
    """Return a row for every version of a model that is installed or registered, with its state; of a damaged one with what is wrong."""
    from models import installed, registry

    rows: list[dict[str, Any]] = []
    states = {model.digest: model for model in registered if model.name == name}
    places = installed.readable_versions(name, model_folder(settings))
    for place in places:
        known = states.pop(place.digest, None)
        card = place.card
        rows.append(
            {
                "name": name,
                "version": card.version,
                "state": known.state.value if known else "",
                "origin": place.origin.value,
                "status": card.status,
                "task": card.task,
                "unit": card.unit,
                "weights": registry.weights_problem(place.folder) or "verified",
                "digest": place.digest,
            }
        )
    for damaged in installed.damaged_versions(name, model_folder(settings)):
        known = damaged.entry(states.values())
        version = known.version if known else damaged.version
        row = {"name": name, "version": version, "origin": damaged.origin.value, "weights": damaged.reason}
        rows.append({**row, "state": known.state.value if known else "", "digest": known.digest if known else ""})
        if known:
            del states[known.digest]
    for missing in states.values():
        row = {"name": name, "version": missing.version, "state": missing.state.value, "origin": missing.origin.value}
        changed = any((place.origin, place.card.version) == (missing.origin, missing.version) for place in places)
        problem = "its card was changed: the files have another digest" if changed else "not installed any more"
        rows.append({**row, "weights": problem, "digest": missing.digest})
    return rows


def _require_one_of(name: str, names: list[str], argument: str) -> str:
    if name not in names:
        raise typer.BadParameter(f"no model is named {name!r}; there are: {', '.join(names) or 'none'}", param_hint=argument)
    return name
