"""The whole node on this machine: `up`, `demo`, `doctor`, and what it says of itself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from core import logs
from core.errors import ConfigurationError
from deploy.cli.common import AsJson, Config, emit, say, settings_of, table
from deploy.configured_models import check_models

destinations = typer.Typer(help="Where results go.")


def up(
    config: Config = None,
    log_files: Annotated[bool, typer.Option("--log-files", help="each role logs to DATA_DIR/logs/ROLE.log")] = False,
) -> None:
    """Every role on this machine; embedded PostgreSQL and Valkey/Redis where no URL is set."""
    from deploy.local.supervisor import Node

    settings = settings_of(config)
    check_models(settings)
    logs.configure(level=settings.logs.level, style=settings.logs.format, role="up")
    sys.exit(Node(settings, config.resolve() if config is not None else None, log_files=log_files).run())


def demo(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="what happened, machine readable", show_default=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep the data folder, with its node.toml")] = False,
    ct: Annotated[Path | None, typer.Option("--ct", metavar="FOLDER", help="a chest CT series", show_default=False)] = None,
    skin: Annotated[
        Path | None, typer.Option("--skin", metavar="FOLDER", help="dermoscopy images (.jpg, .png, .dcm)", show_default=False)
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="generated input even where real input is found")] = False,
) -> None:
    """The main job on real input, on free ports in a temporary folder; exit 0 only if every report arrived and validated."""
    from deploy.demo.run import DemoOptions, run_demo

    for folder in (ct, skin):
        if folder is not None and not folder.is_dir():
            raise ConfigurationError(f"{folder} is no folder", hint="give a folder that holds the files")
    logs.configure(level="warning", style="console", role="demo")
    sys.exit(run_demo(DemoOptions(ct=ct, skin=skin, synthetic=synthetic, keep=keep, json_file=json_file)))


def doctor(config: Config = None, as_json: AsJson = False) -> None:
    """Check settings, ports, disk, codecs, database, broker, GPU, models, blobs, destinations; say what to mend."""
    from deploy.doctor.checks import examine

    logs.configure(level="critical", style="console", role="doctor")
    checks = examine(settings_of(config), config)
    if as_json:
        emit([{"check": c.name, "ok": c.ok, "found": c.found, "mend": c.mend} for c in checks])
    else:
        table("doctor", ["", "check", "found", "to mend"], [["ok" if c.ok else "FAIL", c.name, c.found, c.mend] for c in checks])
    bad = [check.name for check in checks if not check.ok]
    if bad:
        say(f"\n{len(bad)} of {len(checks)} checks failed: {', '.join(bad)}")
        raise typer.Exit(1)


@destinations.command("echo")
def destinations_echo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="without it, every destination", show_default=False)
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Try the configured destinations: C-ECHO, a search over DICOMweb, a file in the folder."""
    from dicom_node.deliver.transports import echo

    settings = settings_of(config)
    wanted = []
    for name in names or [destination.name for destination in settings.destinations]:
        destination = settings.destination(name)
        if destination is None:
            raise ConfigurationError(f"no [[destinations]] is named {name!r}", hint="see the configuration")
        wanted.append(destination)
    rows = []
    for destination in wanted:
        ok, words, seconds = echo(settings, destination)
        rows.append({"destination": destination.name, "ok": ok, "answer": words, "seconds": round(seconds, 4)})
    if as_json:
        emit(rows)
    else:
        table(
            "destinations",
            ["", "name", "answer", "seconds"],
            [["ok" if r["ok"] else "FAIL", *list(r.values())[:1], r["answer"], r["seconds"]] for r in rows],
        )
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def conformance(config: Config = None) -> None:
    """The DICOM conformance statement, as markdown on standard output."""
    from dicom_node.conformance.statement import statement

    sys.stdout.write(statement(settings_of(config) if config is not None else None))
