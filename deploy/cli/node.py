"""Commands on the whole node: up, demo, doctor, conformance."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import AsJson, Config, read_settings
from deploy.terminal import print_json, print_message, print_table


def up(
    config: Config = None,
    log_files: Annotated[bool, typer.Option("--log-files", help="write the log of each role to DATA_DIR/logs/ROLE.log")] = False,
) -> None:
    """Run every role on this machine.

    An embedded PostgreSQL and Valkey or Redis are started where no URL is set. Prints one line
    `ready dicom=AE@host:port console=URL` on standard output when the node accepts associations.
    SIGTERM finishes the work in progress and stops.
    """
    from core import logs
    from deploy.configured_models import check_models
    from deploy.local.supervisor import Supervisor
    from models.runtime import check_device

    settings = read_settings(config)
    check_models(settings)
    check_device(settings.worker.device)
    logs.configure_logging(level=settings.logs.level, style=settings.logs.format, role="up")
    sys.exit(Supervisor(settings, config.resolve() if config is not None else None, log_files=log_files).run())


def reload(config: Config = None, as_json: AsJson = False) -> None:
    """Make the running node read its configuration again.

    Sources, destinations, routes and limits are used at once; the port and open associations stay. A wrong file changes nothing.
    Settings that need a restart are named.
    """
    from dataclasses import asdict

    from deploy.local.reload_request import request_reload

    answer = request_reload(read_settings(config).node.data_dir)
    if as_json:
        print_json(asdict(answer))
        return
    print_message(f"changed: {', '.join(answer.changed) or 'nothing'}")
    if answer.restart:
        print_message(f"needs a restart: {', '.join(answer.restart)}")


def demo(
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write steps and results of the demo to this file", show_default=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep the data folder with its node.toml")] = False,
    ct: Annotated[Path | None, typer.Option("--ct", metavar="FOLDER", help="chest CT series to send", show_default=False)] = None,
    skin: Annotated[
        Path | None, typer.Option("--skin", metavar="FOLDER", help="dermoscopy images to send (.jpg, .png, .dcm)", show_default=False)
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="send generated images even where real ones are found")] = False,
) -> None:
    """Send images to a temporary node and check its reports.

    Uses free ports and a temporary folder. Exit status 0 only if every report arrived and is valid. On a terminal the node then keeps
    running until Ctrl-C, which ends everything with that status, and a link opens its console. Ctrl-C before that ends with status 1.
    """
    from core import logs
    from deploy.demo.run import DemoOptions, run_demo

    for folder in (ct, skin):
        if folder is not None and not folder.is_dir():
            raise ConfigurationError(f"{folder} is not a folder", hint="give the folder of the images")
    logs.configure_logging(level="warning", style="console", role="demo")
    stay = sys.stdin.isatty() and sys.stderr.isatty()
    sys.exit(run_demo(DemoOptions(ct=ct, skin=skin, synthetic=synthetic, keep=keep, json_file=json_file, stay=stay)))


def doctor(
    config: Config = None,
    as_json: AsJson = False,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="NAME", help="leave out these checks, for example destinations")
    ] = None,
) -> None:
    """Check settings, machine and servers, and print what to fix.

    Settings, secrets, certificates, ports, disk, clock, codecs, database, broker, GPU, models, blobs, sources, destinations.
    """
    from core import logs
    from deploy.doctor.run import run_checks

    logs.configure_logging(level="critical", style="console", role="doctor")
    checks = run_checks(read_settings(config), config, skip or ())
    if as_json:
        print_json([{"check": c.name, "ok": c.ok, "found": c.found, "fix": c.fix} for c in checks])
    else:
        print_table("doctor", ["", "check", "found", "fix"], [["ok" if c.ok else "FAIL", c.name, c.found, c.fix] for c in checks])
    failed = [check.name for check in checks if not check.ok]
    if failed:
        print_message(f"\n{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
        raise typer.Exit(1)


def conformance(config: Config = None) -> None:
    """Print the DICOM conformance statement as Markdown."""
    from dicom_node.conformance.statement import statement

    sys.stdout.write(statement(read_settings(config) if config is not None else None))
