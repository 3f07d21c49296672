"""``trial``: a version of a model tried in shadow on the site's own stored studies. Nothing is delivered."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.counted import counted
from core.errors import ConfigurationError, NodeError
from core.states import ModelState
from deploy import VERSION
from deploy.cli.common import Config, open_database, operator_name, parse_time, read_settings, require_database_url
from deploy.cli.models.installed import find_verified_version, model_folder
from deploy.cli.models.versions import Name, Version
from deploy.terminal import print_message

if TYPE_CHECKING:
    from core.policy.trial.figures import TrialFigures
    from core.settings.settings import Settings
    from db.engine import Database
    from db.trial.stored_units import TrialSelection
    from deploy.trial.page import TrialFiles
    from deploy.trial.selection import TrialUnits
    from models.installed import ModelVersion

Since = Annotated[str | None, typer.Option("--since", metavar="T", help="only units complete since T (ISO 8601)", show_default=False)]
Until = Annotated[str | None, typer.Option("--until", metavar="T", help="only units complete before T (ISO 8601)", show_default=False)]
RouteName = Annotated[
    str | None, typer.Option("--route", metavar="NAME", help="only this route (default: every route of the model)", show_default=False)
]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="at most this many units, the latest ones", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="folder for trial.html and trial.json (default: trial-MODEL-VERSION)", show_default=False),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="a second file for the figures", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print what would be tried, and change nothing")]
READ_AT_ONCE = 500  # units whose results are read together
TELL_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class TrialVersions:
    """The version on trial, and the one that serves (None where none does). ``ever_served``: some version of the model has."""

    candidate: "ModelVersion"
    active: "ModelVersion | None"
    ever_served: bool


def trial(
    name: Name, version: Version, since: Since = None, until: Until = None, route: RouteName = None, limit: Most = None, out: Out = None,
    json_file: JsonFile = None, dry_run: DryRun = False, config: Config = None,
) -> None:  # fmt: skip
    """Try a version in shadow on stored studies.

    Takes the units that the routes of the model have selected, queues a shadow run for each that has none, after all clinical work, waits
    for the results, and writes a page with its figures. Nothing is delivered. The same command goes on where it was interrupted.
    """
    from db.trial.acts import record_trial
    from db.trial.shadow_jobs import shadow_plan
    from db.trial.stored_units import TrialSelection
    from deploy.trial.page import TrialFiles
    from deploy.trial.run import TrialRun
    from deploy.trial.selection import select_units

    start, end, actor = parse_time(since), parse_time(until, "--until"), operator_name()
    if start is not None and end is not None and end <= start:
        raise typer.BadParameter("it is not after --since", param_hint="--until")
    if not dry_run:  # without a running node there would be a database for this command alone, and no worker while it waits
        require_database_url(read_settings(config))
    with open_database(config) as (settings, database), _terminated_as_interrupted():
        versions = _require_versions(name, version, settings, database)
        candidate, card = versions.candidate, versions.candidate.card
        routes = _require_routes(settings, name, route)
        selection = TrialSelection(name, candidate.digest, routes, start, end)
        units = select_units(settings, database, selection, by_conditions=not versions.ever_served, limit=limit, tell=print_message)
        _print_plan(card.name, card.version, units)
        if dry_run:
            return
        if not units.ids and not units.images_removed:
            raise NodeError(
                f"no stored unit of this time was selected by a route of {name}", hint="see `rules unrouted`, and --since and --until"
            )
        files = TrialFiles(out or Path(f"trial-{card.name}-{card.version}"), json_file)
        files.require_writable()  # before hours of work, and not behind them
        model_id = _register(database, candidate, actor)
        details: dict[str, object] = {"name": name, "version": card.version, "digest": candidate.digest, "routes": list(routes)}
        counts: dict[str, object] = {"units": len(units.ids), "images_removed": len(units.images_removed)}
        asked = {"since": since, "until": until, "limit": limit}
        record_trial(database, "begun", model_id=model_id, actor=actor, details=details | counts | asked)
        run = TrialRun(
            database,
            units,
            candidate.digest,
            lambda names: shadow_plan(name, card.version, candidate.digest, names),
            actor=actor,
            tell=print_message,
        )
        try:
            run.finish()
        except KeyboardInterrupt:
            left = {"done": run.done, "queued": len(run.open)}
            record_trial(database, "interrupted", model_id=model_id, actor=actor, details=details | counts | left)
            print_message(f"{run.done} of {counted(len(units.ids), 'unit')} done; the node finishes what is in the queue: {len(run.open)}")
            print_message("the same command goes on with the rest")
            raise typer.Abort from None
        figures = _read_figures(database, card.task, selection, units)
        document, hashes = _write(settings, database, versions, selection, units, figures, files, actor=actor, limit=limit)
        written = counts | {"outcomes": document["outcomes"], "files": hashes}
        record_trial(database, "written", model_id=model_id, actor=actor, details=details | written)
    for sentence in document["summary"]:
        print_message(sentence)
    print_message(f"written: {files.page}, {files.document}")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a trial that a service or a time limit ends says how far it is, and the audit trail too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    total = len(units.ids)
    print_message(f"{name} {version}: {counted(total, 'unit')} of {counted(units.studies, 'study', 'studies')} selected")
    print_message(f"with a run of this version already: {units.present}; to be queued: {total - units.present}")
    if units.images_removed:
        removed = counted(len(units.images_removed), "further unit")
        print_message(f"{removed} cannot be tried: retention has deleted the images")
    if units.unreadable:
        print_message(f"the routes could not be applied to {counted(units.unreadable, 'unit')}: the files cannot be read")


def _register(database: "Database", candidate: "ModelVersion", actor: str) -> int:
    from db.operations.model_registry import register_on_standby
    from models.card import identity

    return register_on_standby(database, identity(candidate.card, candidate.digest), origin=candidate.origin, actor=actor)


def _read_figures(database: "Database", task: str, selection: "TrialSelection", units: "TrialUnits") -> "TrialFigures":
    """Read the results of all units, some hundred at a time, and count them."""
    from core.policy.trial.figures import TrialTally
    from db.trial.cases import read_cases

    tally, read = TrialTally(task), 0
    for ids in (units.ids, units.images_removed):
        for first in range(0, len(ids), READ_AT_ONCE):
            for case in read_cases(database, ids[first : first + READ_AT_ONCE], model=selection.model, digest=selection.digest):
                tally.add(case)
            read += READ_AT_ONCE
            if read % TELL_EVERY == 0:
                print_message(f"results of {read} units read")
    return tally.figures()


def _write(
    settings: "Settings", database: "Database", versions: TrialVersions, selection: "TrialSelection", units: "TrialUnits",
    figures: "TrialFigures", files: "TrialFiles", *, actor: str, limit: int | None,
) -> tuple[dict[str, Any], dict[str, str]]:  # fmt: skip
    """Write page and document; return the document, and the SHA-256 of each file."""
    from console.server.address import public_address
    from deploy.trial.document import TrialAbout, trial_document

    card, active = versions.candidate.card, versions.active
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
        limit=limit,
        console=public_address(settings.console),
        actor=actor,
        written_at=database.now(),
        program=VERSION,
    )
    document = trial_document(about, figures)
    return document, files.write(document)
