"""Which version of a model serves: imported, activated, put beside as a shadow, retired, rolled back; each audited."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import StorageError
from core.records import RegisteredModel
from core.settings.settings import Settings
from core.states import ModelState
from deploy.cli.common import AsJson, Config, listing, opened, operator, say, settings_of, with_servers

if TYPE_CHECKING:
    from db.engine import Database
    from models.installed import Place

ABOUT = "what a MONAI bundle does not say: name, licence, not_for, looked_for, labels with codes (TOML)"
Name = Annotated[str, typer.Argument(metavar="NAME", help="a name of `models list`")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="its version, or the first digits of its digest")]


def versions(name: str, settings: Settings, known: tuple[RegisteredModel, ...]) -> list[dict[str, Any]]:
    """Every version of a model that is here or was registered, with where it stands."""
    from models import installed

    rows = []
    states = {one.digest: one for one in known if one.name == name}
    for place in installed.places(name, folder_of(settings)):
        registered = states.pop(place.digest, None)
        state = registered.state.value if registered else ""
        card = place.card
        row = {"name": name, "version": card.version, "state": state, "origin": place.origin.value, "status": card.status}
        rows.append({**row, "task": card.task, "unit": card.unit, "weights": damage(place) or "verified", "digest": place.digest})
    for gone in states.values():
        row = {"name": name, "version": gone.version, "state": gone.state.value, "origin": gone.origin.value}
        rows.append({**row, "weights": "not here any more", "digest": gone.digest})
    return rows


def known_name(name: str, settings: Settings) -> str:
    """``name``, if a model of that name is shipped or installed; else wrong usage."""
    from models import installed

    names = installed.names(folder_of(settings))
    if name not in names:
        raise typer.BadParameter(f"no model is named {name!r}; there are: {', '.join(names) or 'none'}", param_hint="NAME")
    return name


def folder_of(settings: Settings) -> Path:
    from models import installed

    return settings.node.data_dir / installed.FOLDER


def damage(place: "Place") -> str:
    """What is wrong with the weights; empty where nothing is."""
    from core.errors import ModelError
    from models import registry

    try:
        registry.verify_folder(place.room)
    except ModelError as error:
        return str(error)
    return ""


def registered(settings: Settings) -> tuple[RegisteredModel, ...]:
    """What the database knows; nothing, and a word on standard error, where there is none to ask."""
    from db.engine import Database
    from db.operations import model_registry as store

    url = with_servers(settings).database.url
    if not url:
        return ()
    database = Database.open(url, pool_size=1)
    try:
        return store.known(database)
    except StorageError as error:
        say(f"states are not shown: {error}")
        return ()
    finally:
        database.dispose()


def activate(name: Name, version: Version, config: Config = None) -> None:
    """New jobs go to this version; the active one before stands by, and ends what was planned for it."""
    from db.operations import model_registry as store
    from models.card import identity

    with opened(config) as (settings, database):
        place = _sound(name, version, settings)
        done = store.activate(database, identity(place.card, place.digest), origin=place.origin, actor=operator())
        _told(place, "active", done)


def shadow(name: Name, version: Version, config: Config = None) -> None:
    """Run this version beside the active one: stored and compared (`models compare`), never reported."""
    with opened(config) as (settings, database):
        place = _sound(name, version, settings)
        _set_aside(database, place, ModelState.SHADOW)


def retire(name: Name, version: Version, config: Config = None) -> None:
    """Nothing is reported by this version any more, not even what it is at."""
    from models import installed

    with opened(config) as (settings, database):
        _set_aside(database, installed.find(known_name(name, settings), version, folder_of(settings)), ModelState.RETIRED)


def rollback(name: Name, config: Config = None) -> None:
    """Activate again what was active before."""
    from db.operations import model_registry as store
    from models import installed, registry

    with opened(config) as (settings, database):
        sound = [place for place in installed.places(known_name(name, settings), folder_of(settings)) if not damage(place)]
        digest = store.rollback(database, name, here={place.digest for place in sound}, actor=operator())
        place = next(place for place in sound if place.digest == digest)
        registry.verify_folder(place.room)
        _told(place, "active again", True)


def compare(name: Name, config: Config = None, as_json: AsJson = False) -> None:
    """How often a shadow and the version that reported said the same of one unit."""
    from db.operations import model_registry as store

    with opened(config) as (settings, database):
        rows = store.compare(database, known_name(name, settings))
    columns = ["shadow_version", "reported_version", "units", "same_outcome", "same_first_finding", "shadow_findings", "reported_findings"]
    listing(rows, columns, title=f"{name}: shadows", as_json=as_json)


def drift(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="without it, every model", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Whether inputs and scores moved: per scanner and week, against the card's reference or the first weeks."""
    from db.operations import drift as store
    from models import installed

    with opened(config) as (settings, database):
        folder = folder_of(settings)
        names = installed.names(folder) if name is None else [known_name(name, settings)]
        references = {place.digest: place.card.reference for one in names for place in installed.places(one, folder)}
        rows = store.weeks(database, model=name, references=references)
    columns = ["week", "model", "version", "scanner", "quantity", "n", "index", "level", "against"]
    listing(rows, columns, title="stability of inputs and scores", as_json=as_json)


def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a MONAI bundle (folder or zip), or what `models train` wrote")],
    about: Annotated[Path | None, typer.Option("--about", metavar="FILE", help=ABOUT, show_default=False)] = None,
    config: Config = None,
) -> None:
    """Take a model in, offline; nothing of a bundle is executed. It serves only when it is activated, or runs beside as a shadow."""
    from models import installed

    folder = folder_of(settings_of(config))
    if (path / "card.toml").is_file():
        place = installed.install(path, folder)
    else:
        if about is None:
            raise typer.BadParameter(f"{path} holds no card.toml; of a MONAI bundle, say {ABOUT}", param_hint="--about")
        from models.bundle.convert import convert

        with tempfile.TemporaryDirectory() as scratch:
            convert(path, about, Path(scratch) / "made")
            place = installed.install(Path(scratch) / "made", folder)
    say(f"{place.card.name} {place.card.version} ({place.digest[:12]}) is in {place.room}; activate it, or put it beside as a shadow")


def _sound(name: str, version: str, settings: Settings) -> "Place":
    """The version, its weights verified: what is altered is not even registered."""
    from models import installed, registry

    place = installed.find(known_name(name, settings), version, folder_of(settings))
    registry.verify_folder(place.room)
    return place


def _set_aside(database: "Database", place: "Place", state: ModelState) -> None:
    from db.operations import model_registry as store
    from models.card import identity

    done = store.set_aside(database, identity(place.card, place.digest), state, origin=place.origin, actor=operator())
    _told(place, state.value, done)


def _told(place: "Place", what: str, done: bool) -> None:
    say(f"{place.card.name} {place.card.version} ({place.digest[:12]}) is {what}{'' if done else ' already'}")
