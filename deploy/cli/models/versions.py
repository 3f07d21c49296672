"""Commands that decide which version of a model is used: import, activate, shadow, retire, rollback, and their comparison.

Every change of state is an audit event.
"""

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.states import ModelState
from deploy.cli.common import AsJson, Config, open_database, operator_name, read_settings
from deploy.cli.models.installed import find_verified_version, model_folder, require_model
from deploy.terminal import print_message, print_rows

if TYPE_CHECKING:
    from core.records import RegisteredModel
    from db.engine import Database
    from models.card import ModelCard
    from models.installed import ModelVersion

MISSING_IN_BUNDLE = "what a MONAI bundle does not state: name, licence, not_for, looked_for, labels with codes (TOML)"
Name = Annotated[str, typer.Argument(metavar="NAME", help="model, see `models list`")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="version, or the first digits of its digest")]


def import_model(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="MONAI bundle (folder or zip), or the output folder of `models train`")],
    about: Annotated[Path | None, typer.Option("--about", metavar="FILE", help=MISSING_IN_BUNDLE, show_default=False)] = None,
    config: Config = None,
) -> None:
    """Import a model into this node.

    No network access is needed. Nothing in a bundle is executed. The model is used only after `models activate` or `models shadow`.
    """
    from models import installed

    folder = model_folder(read_settings(config))
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint="PATH")
    if (path / "card.toml").is_file():
        _require_loadable(path)
        place = installed.install_version(path, folder)
    else:
        if about is None:
            message = f"{path} has no card.toml; a MONAI bundle needs a file with {MISSING_IN_BUNDLE}"
            raise typer.BadParameter(message, param_hint="--about")
        from models.bundle.convert import convert

        with tempfile.TemporaryDirectory() as scratch:
            convert(path, about, Path(scratch) / "made")
            place = installed.install_version(Path(scratch) / "made", folder)
    card = place.card
    print_message(
        f"{card.name} {card.version} ({place.digest[:12]}) is in {place.folder}; use it with `models activate` or `models shadow`"
    )


def _require_loadable(folder: Path) -> None:
    """Check that a worker can load the version: a card or weights that do not fit are refused here, and not by every job.

    Where torch is not installed this is left to the worker.
    """
    from models import installed, runtime
    from models.card import read_card

    card = read_card(folder / "card.toml")
    package = installed.package_of(card.name)
    installed.check_runnable(card, package)
    if importlib.util.find_spec("torch") is not None:
        runtime.load_folder(folder, device="cpu", package=package)


def activate(
    name: Name,
    version: Version,
    even_if_worse: Annotated[bool, typer.Option("--even-if-worse", help="also if it is worse on held-out images")] = False,
    config: Config = None,
) -> None:
    """Use this version for new jobs.

    Jobs that were planned for the version before are finished by that one. A version that is worse than the active one on what training
    held out (images of a classifier, scans of a detector) is refused.
    """
    from db.operations import model_registry as store
    from models import installed
    from models.card import identity
    from models.regression import gate

    with open_database(config) as (settings, database):
        place = find_verified_version(name, version, settings)
        active = installed.active_version(name, store.registered_models(database), model_folder(settings))
        if active is not None and not even_if_worse:
            gate.require_not_worse(active.folder, place.folder, f"{place.card.name} {place.card.version}")
        changed = store.activate_model(database, identity(place.card, place.digest), origin=place.origin, actor=operator_name())
        _print_state(place.card, place.digest, "active", changed)


def shadow(name: Name, version: Version, config: Config = None) -> None:
    """Run this version beside the active one.

    Its results are stored and compared (`models compare`), never reported.
    """
    with open_database(config) as (settings, database):
        _set_state(database, find_verified_version(name, version, settings), ModelState.SHADOW)


def retire(name: Name, version: Version, config: Config = None) -> None:
    """Stop using this version.

    Jobs that it is working on are not reported. Its files may be damaged, or gone.
    """
    from db.operations import model_registry as store
    from models import installed

    with open_database(config) as (settings, database):
        folder, known = model_folder(settings), store.registered_models(database, name)
        entry = installed.registered_version(require_model(name, settings, known), version, known, folder)
        if entry is None:
            _set_state(database, installed.find_version(name, version, folder), ModelState.RETIRED)
        else:
            _print_state(entry, entry.digest, "retired", store.retire_model(database, entry, actor=operator_name()))


def rollback(name: Name, config: Config = None) -> None:
    """Activate the previously active version."""
    from db.operations import model_registry as store
    from models import installed, registry

    with open_database(config) as (settings, database):
        places = installed.readable_versions(require_model(name, settings), model_folder(settings))
        intact = [place for place in places if not registry.weights_problem(place.folder)]
        digest = store.rollback_model(database, name, available={place.digest for place in intact}, actor=operator_name())
        place = next(place for place in intact if place.digest == digest)
        registry.check_weights(place.folder)
        _print_state(place.card, place.digest, "active again", True)


def compare(
    name: Name,
    version: Annotated[
        str | None,
        typer.Option("--held-out", metavar="VERSION", help="compare on held-out images, not results", show_default=False),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare versions.

    Shows how often shadows agreed with the reported version on the same unit. With --held-out: how a version differs from the active
    one on what training held out, with 95 % intervals, over all and by subgroup.
    """
    from db.operations.shadow_comparison import compare_shadows

    if version is not None:
        _compare_on_held_out_images(name, version, config, as_json)
        return
    with open_database(config) as (settings, database):
        rows = compare_shadows(database, require_model(name, settings))
    columns = ["shadow_version", "reported_version", "units", "same_outcome", "same_first_finding", "shadow_findings", "reported_findings"]
    print_rows(rows, columns, title=f"{name}: shadows", as_json=as_json)


def _compare_on_held_out_images(name: str, version: str, config: Config, as_json: bool) -> None:
    from db.operations import model_registry as store
    from models import installed
    from models.regression import gate

    with open_database(config) as (settings, database):
        place = find_verified_version(name, version, settings)
        active = installed.active_version(name, store.registered_models(database), model_folder(settings))
    changes = () if active is None else gate.compare_folders(active.folder, place.folder)
    rows = [
        {"metric": one.metric, "subgroup": one.subgroup or "all", "cases": one.cases}
        | {key: round(getattr(one, key), 4) for key in ("before", "after", "difference", "low", "high")}
        | {"worse": one.is_worse}
        for one in changes
    ]
    if not rows:
        print_message("there is nothing to compare: one of the versions has no stored answers, or they are of other images or scans")
    versions = place.card.version if active is None else f"{active.card.version} to {place.card.version}"
    print_rows(rows, list(rows[0]) if rows else ["metric"], title=f"{name} {versions} on what training held out", as_json=as_json)


def drift(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="model (default: every model)", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show changes of inputs and scores over time.

    Per scanner and week, against the reference of the card or the first weeks.
    """
    from db.operations import drift as store
    from models import installed

    with open_database(config) as (settings, database):
        folder = model_folder(settings)
        names = installed.names(folder) if name is None else [require_model(name, settings)]
        references = {place.digest: place.card.reference for model in names for place in installed.readable_versions(model, folder)}
        rows = store.weekly_statistics(database, model=name, references=references)
    columns = ["week", "model", "version", "scanner", "quantity", "n", "index", "level", "against"]
    print_rows(rows, columns, title="stability of inputs and scores", as_json=as_json)


def _set_state(database: "Database", place: "ModelVersion", state: ModelState) -> None:
    from db.operations import model_registry as store
    from models.card import identity

    changed = store.shadow_or_retire(database, identity(place.card, place.digest), state, origin=place.origin, actor=operator_name())
    _print_state(place.card, place.digest, state.value, changed)


def _print_state(named: "ModelCard | RegisteredModel", digest: str, state: str, changed: bool) -> None:
    print_message(f"{named.name} {named.version} ({digest[:12]}) is {state}{'' if changed else ' already'}")
