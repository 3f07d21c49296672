"""``trial``: a version of a model tried in shadow on the site's own stored studies. Nothing is delivered."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import ConfigurationError, NodeError
from core.states import ModelState
from deploy import VERSION
from deploy.cli.common import Config, open_database, operator_name, parse_time, read_settings, require_database_url
from deploy.cli.models.installed import find_verified_version, model_folder
from deploy.cli.models.versions import Name, Version
from deploy.terminal import print_message

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from db.engine import Database
    from db.trial.stored_units import TrialSelection
    from deploy.trial.selection import TrialUnits
    from models.installed import ModelVersion

Since = Annotated[str | None, typer.Option("--since", metavar="T", help="only units complete since T (ISO 8601)", show_default=False)]
Until = Annotated[str | None, typer.Option("--until", metavar="T", help="only units complete before T (ISO 8601)", show_default=False)]
RouteName = Annotated[
    str | None, typer.Option("--route", metavar="NAME", help="only this route (default: every route of the model)", show_default=False)
]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="at most so many units, the latest", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="gets trial.html and trial.json (default: trial-MODEL-VERSION)", show_default=False),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="gets the figures too", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print what would be tried, and change nothing")]


@dataclass(frozen=True, slots=True)
class TrialVersions:
    """The version on trial, and the one that serves (None where none does). ``ever_served``: some version of the model has."""

    candidate: "ModelVersion"
    active: "ModelVersion | None"
    ever_served: bool


@dataclass(frozen=True, slots=True)
class TrialOutput:
    """Where page and document go, who asked for them, and how many units were asked for."""

    folder: Path
    json_file: Path | None
    actor: str
    limit: int | None


def trial(
    name: Name, version: Version, since: Since = None, until: Until = None, route: RouteName = None, limit: Most = None, out: Out = None,
    json_file: JsonFile = None, dry_run: DryRun = False, config: Config = None,
) -> None:  # fmt: skip
    """Try a version in shadow on stored studies.

    Takes the units that the routes of the model have selected, queues a shadow run for each that has none, after all clinical work, waits
    for the results, and writes a page on how it did. Nothing is delivered. The same command goes on where it was interrupted.
    """
    from db.trial.acts import record_trial
    from db.trial.shadow_jobs import shadow_plan
    from db.trial.stored_units import TrialSelection
    from deploy.trial.run import TrialRun
    from deploy.trial.selection import select_units

    start, end, actor = parse_time(since), parse_time(until, "--until"), operator_name()
    if not dry_run:  # without a running node there would be a database for this command alone, and no worker while it waits
        require_database_url(read_settings(config))
    with open_database(config) as (settings, database):
        versions = _require_versions(name, version, settings, database)
        candidate, card = versions.candidate, versions.candidate.card
        routes = _require_routes(settings, name, route)
        selection = TrialSelection(name, candidate.digest, routes, start, end)
        units = select_units(settings, database, selection, by_conditions=not versions.ever_served, limit=limit, tell=print_message)
        _print_plan(card.name, card.version, units)
        if dry_run:
            return
        if not units.selected and not units.images_removed:
            raise NodeError(
                f"no stored unit of this time was selected by a route of {name}", hint="see `rules unrouted`, and --since and --until"
            )
        model_id = _register(database, candidate, actor)
        details: dict[str, object] = {"name": name, "version": card.version, "digest": candidate.digest, "routes": list(routes)}
        counts: dict[str, object] = {"units": len(units.selected), "images_removed": len(units.images_removed)}
        asked = {"since": since, "until": until, "limit": limit}
        record_trial(database, "begun", model_id=model_id, actor=actor, details=details | counts | asked)
        run = TrialRun(
            database,
            units.selected,
            lambda names: shadow_plan(name, card.version, candidate.digest, names),
            actor=actor,
            tell=print_message,
        )
        try:
            run.finish()
        except KeyboardInterrupt:
            left = {"done": run.done, "queued": len(run.open)}
            record_trial(database, "interrupted", model_id=model_id, actor=actor, details=details | counts | left)
            print_message(f"{run.done} of {len(units.selected)} units done; {len(run.open)} in the queue are finished by the node")
            print_message("the same command goes on with the rest")
            raise typer.Abort from None
        output = TrialOutput(out or Path(f"trial-{card.name}-{card.version}"), json_file, actor, limit)
        document, hashes = _write(settings, database, versions, selection, units, output)
        written = counts | {"outcomes": document["outcomes"], "files": hashes}
        record_trial(database, "written", model_id=model_id, actor=actor, details=details | written)
    for sentence in document["summary"]:
        print_message(sentence)
    print_message(f"written: {', '.join(str(output.folder / file) for file in ('trial.html', 'trial.json'))}")


def _require_versions(name: str, version: str, settings: "Settings", database: "Database") -> TrialVersions:
    """Find the version on trial; it may be none that reports, and none whose results workers refuse."""
    from db.operations import model_registry
    from models import installed

    candidate = find_verified_version(name, version, settings)
    known = model_registry.registered_models(database, name)
    active = installed.active_version(name, known, model_folder(settings))
    if active is not None and active.digest == candidate.digest:
        raise ConfigurationError(f"{name} {candidate.card.version} serves: its results are delivered", hint="a trial is of another version")
    state = next((one.state for one in known if one.digest == candidate.digest), None)
    if state is ModelState.RETIRED:
        hint = f"dicom-node models shadow {name} {candidate.card.version} ends that"
        raise ConfigurationError(f"{name} {candidate.card.version} is retired, and workers refuse its results", hint=hint)
    return TrialVersions(candidate, active, ever_served=active is not None or any(one.activated for one in known))


def _require_routes(settings: "Settings", name: str, route: str | None) -> tuple[str, ...]:
    """The routes of the model, or the one that was asked for."""
    routes = tuple(one.name for one in settings.routes if one.model == name)
    if not routes:
        hint = "add one to [[routes]], or give a configuration with one: the running node need not have it"
        raise ConfigurationError(f"no route names {name}, so nothing says which studies are for it", hint=hint)
    if route is None:
        return routes
    if route not in routes:
        raise typer.BadParameter(f"no route to {name} is named {route!r}; there are: {', '.join(routes)}", param_hint="--route")
    return (route,)


def _print_plan(name: str, version: str, units: "TrialUnits") -> None:
    there = sum(one.unit.job_id is not None for one in units.selected)
    studies = len({one.unit.study_id for one in units.selected})
    print_message(f"{name} {version}: {_count(len(units.selected), 'unit')} of {_count(studies, 'study')} selected")
    print_message(f"with a run of this version already: {there}; to be queued: {len(units.selected) - there}")
    if units.images_removed:
        print_message(f"{_count(len(units.images_removed), 'further unit')} cannot be tried: retention has deleted the images")
    if units.unreadable:
        print_message(f"the routes could not be applied to {_count(units.unreadable, 'unit')}: the files cannot be read")


def _count(number: int, word: str) -> str:
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{number} {word if number == 1 else plural}"


def _register(database: "Database", candidate: "ModelVersion", actor: str) -> int:
    from db.operations.model_registry import register_on_standby
    from models.card import identity

    return register_on_standby(database, identity(candidate.card, candidate.digest), origin=candidate.origin, actor=actor)


def _write(
    settings: "Settings", database: "Database", versions: TrialVersions, selection: "TrialSelection", units: "TrialUnits", out: TrialOutput
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write page and document; return the document, and the SHA-256 of each file."""
    from console.server.address import public_address
    from core.policy.trial.figures import compute_figures
    from db.trial.cases import read_cases
    from deploy.trial.document import TrialAbout, trial_document
    from deploy.trial.page import write_trial

    card, active = versions.candidate.card, versions.active
    ids = [*(one.unit.id for one in units.selected), *(unit.id for unit in units.images_removed)]
    cases = read_cases(database, ids, model=card.name, digest=versions.candidate.digest)
    about = TrialAbout(
        model=card.name,
        version=card.version,
        digest=versions.candidate.digest,
        title=card.title,
        status=card.status,
        not_for=card.not_for,
        task=card.task,
        unit=card.unit,
        active="" if active is None else active.card.version,
        active_digest="" if active is None else active.digest,
        by_conditions=not versions.ever_served,
        unreadable=units.unreadable,
        routes=selection.routes,
        since=selection.since,
        until=selection.until,
        limit=out.limit,
        console=public_address(settings.console),
        actor=out.actor,
        written_at=database.now(),
        program=VERSION,
    )
    document = trial_document(about, compute_figures(cases, card.task))
    return document, write_trial(out.folder, document, out.json_file)
