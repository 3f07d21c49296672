"""The model alone, no services."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from core.errors import NodeError
from core.states import Outcome
from deploy.cli.common import plain, say


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a name of `models list`")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files or folders, JPEG/PNG files or folders")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="everything, as one array; - is standard output", show_default=False)
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="one row per unit or finding; - is standard output", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda")] = "auto",
) -> None:
    """The model alone on files: one row per unit (one per finding for a detector). Without --json and --csv: CSV on standard output."""
    from deploy.offline import predict as offline_predict
    from models import registry

    card = registry.card(known_model(model))
    gathered = offline_predict.units_for(card, paths)
    for path, why in gathered.unread:
        say(f"{path}: not read: {why}")
    if gathered.passed_over:
        say(f"{gathered.passed_over} files that are neither DICOM nor pictures were passed over")
    if not gathered.units:
        raise NodeError("there is nothing to analyse", hint="give DICOM files, JPEG or PNG files, or folders that hold them")
    from models.runtime import load

    loaded = load(model, device=device)
    answers = []
    with _progress(len(gathered.units)) as advance:
        for answer in offline_predict.predict(loaded, gathered.units, advance):
            answers.append(answer)
    if json_file is not None:
        with opened_file(json_file) as stream:
            json.dump(plain([offline_predict.document(loaded, answer) for answer in answers]), stream, ensure_ascii=False, indent=2)
            stream.write("\n")
    if csv_file is not None or json_file is None:
        with opened_file(csv_file or Path("-")) as stream:
            writer = csv.DictWriter(stream, fieldnames=offline_predict.columns(card), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for answer in answers for row in offline_predict.rows(card, answer))
    say(f"{card.title} {card.version} on {loaded.device}. {card.not_for}")
    failed = [answer for answer in answers if answer.prediction.outcome is Outcome.NOT_ANALYSED]
    for answer in failed:
        say(f"{answer.unit.path}: not analysed: {answer.prediction.reason}")
    if failed or gathered.unread:
        raise typer.Exit(1)


def known_model(name: str) -> str:
    from models import registry

    names: Sequence[str] = registry.names()
    if name not in names:
        raise typer.BadParameter(f"no model is named {name!r}; there are: {', '.join(names) or 'none'}", param_hint="MODEL")
    return name


@contextmanager
def opened_file(path: Path) -> Iterator[IO[str]]:
    if str(path) == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        stream = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise NodeError(f"{path} cannot be written: {error.strerror}", hint="give another file") from error
    with stream:
        yield stream


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = (TextColumn("analysing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True)) as progress:
        task = progress.add_task("units", total=total)
        yield lambda count: progress.advance(task, count)
