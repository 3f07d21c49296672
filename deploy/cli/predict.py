"""The command ``predict``: a model on files, without any service."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from core.csv_cells import format_csv_cell
from core.errors import NodeError
from core.states import Outcome
from deploy.cli.models.installed import require_shipped_model
from deploy.terminal import print_message, to_json_types


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model, see `models list`")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM, JPEG or PNG files, or folders of them")],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="write all results as a JSON array; - is standard output", show_default=False),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="write a CSV table; - is standard output", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda")] = "auto",
) -> None:
    """Analyse files with a model, without any service.

    The table has one row per unit, for a detector one row per finding. Without --json and --csv the table goes to standard output as CSV.
    """
    from deploy.offline.predict import predict_units, units_for
    from deploy.offline.prediction_rows import json_document, table_columns, table_rows
    from models import registry

    card = registry.card(require_shipped_model(model, "MODEL"))
    gathered = units_for(card, paths)
    for path, why in gathered.unread:
        print_message(f"{path}: not read: {why}")
    if gathered.skipped:
        print_message(f"{gathered.skipped} files that are neither DICOM nor images were skipped")
    if not gathered.units:
        raise NodeError("there is nothing to analyse", hint="give DICOM, JPEG or PNG files, or folders of them")
    from models.runtime import load

    loaded = load(model, device=device)
    with _progress_bar(len(gathered.units)) as advance:
        results = list(predict_units(loaded, gathered.units, advance))
    if json_file is not None:
        with _open_output(json_file) as stream:
            json.dump(to_json_types([json_document(loaded, result) for result in results]), stream, ensure_ascii=False, indent=2)
            stream.write("\n")
    if csv_file is not None or json_file is None:
        with _open_output(csv_file or Path("-")) as stream:
            writer = csv.DictWriter(stream, fieldnames=table_columns(card), lineterminator="\n")
            writer.writeheader()
            rows = (row for result in results for row in table_rows(card, result))
            writer.writerows({name: format_csv_cell(value) for name, value in row.items()} for row in rows)
    print_message(f"{card.title} {card.version} on {loaded.device}. {card.not_for}")
    failed = [result for result in results if result.prediction.outcome is Outcome.NOT_ANALYSED]
    for result in failed:
        print_message(f"{result.unit.path}: not analysed: {result.prediction.reason}")
    if failed or gathered.unread:
        raise typer.Exit(1)


@contextmanager
def _open_output(path: Path) -> Iterator[IO[str]]:
    """Open a file for writing; ``-`` is standard output."""
    if str(path) == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        stream = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise NodeError(f"{path} cannot be written: {error.strerror}", hint="give another path") from error
    with stream:
        yield stream


@contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error; yield the function that advances it by a number of units."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = (TextColumn("analysing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True)) as progress:
        task = progress.add_task("units", total=total)
        yield lambda count: progress.advance(task, count)
