"""Train or measure a model: dispatch to the room that knows how."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.drift import Observation, counted
from models import registry

Progress = Callable[[str], None]


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    resume: bool = True,
    progress: Progress = print,
) -> dict[str, Any]:
    """Train ``name`` on ``data`` and write weights.safetensors, card.toml and metrics.json to ``out``.

    Seeded and resumable: where ``out`` holds a checkpoint of the same recipe the training goes on from it.
    ``seed`` and ``epochs`` None mean the room's recipe. Returns the metrics. Raises ModelError where data are missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"models.{registry.folder(name).name}.train")
    asked = {key: value for key, value in (("seed", seed), ("epochs", epochs)) if value is not None}
    metrics: dict[str, Any] = module.train(data, out, **asked, resume=resume, progress=progress)
    return metrics


def evaluate(name: str, data: Path, *, progress: Progress = print) -> dict[str, Any]:
    """The shipped weights' figures on the held-out part of ``data``, by the room's own protocol."""
    module = importlib.import_module(f"models.{registry.folder(name).name}.train")
    metrics: dict[str, Any] = module.evaluate(data, progress=progress)
    return metrics


def evaluate_into(
    name: str, data: Path, out: Path, *, progress: Progress = print, limit_per_class: int | None = None, device: str = "auto"
) -> dict[str, Any]:
    """As ``evaluate``, with intervals, and pictures in ``out``; figures.json there is what the model's page shows.

    A classifier is asked once more, through the path that serves; whole groups (lesions) are drawn for the intervals.
    A detector gets the curve (with what the card says of series that its training never saw) and no intervals: two patients
    carry none. ``limit_per_class`` measures on less (tests).
    """
    from models import held_out, intervals, observing, pages, pictures, runtime

    out.mkdir(parents=True, exist_ok=True)
    card = registry.card(name)
    metrics: dict[str, Any] = {"weights_sha256": card.weights_sha256, "digest": registry.pipeline_digest(name), "version": card.version}
    drawn: list[Path | None] = []
    seen: list[Observation] = []
    answers = held_out.answers(
        runtime.load(name, device=device),
        data,
        progress=progress,
        limit_per_class=limit_per_class,
        seen=lambda item, prediction: seen.extend(observing.observe(item, prediction)),
    )
    if answers is None:
        metrics |= evaluate(name, data, progress=progress)
        drawn.append(pictures.froc({**card.metrics, **metrics}, out / "froc.png"))
    else:
        groups, kind = len(set(answers.groups)), held_out.SETS[card.name].group
        metrics["measured"] = (
            f"{len(answers.labels)} held-out images of {groups} {kind}, asked as they are served; {answers.abstained} more had no answer; "
            f"intervals: {intervals.RESAMPLES} bootstrap samples of whole {kind}"
        )
        metrics["abstained"] = answers.abstained
        metrics["n"] = len(answers.labels)
        metrics["groups"] = groups
        metrics["intervals"] = intervals.bootstrap(answers)
        metrics["confusion"] = {"labels": answers.names, "rows_truth_columns_model": intervals.confusion(answers).tolist()}
        metrics["reference"] = counted(seen)  # of inputs and scores: a card may take it over, `models drift` compares with it
        drawn += pictures.classifier(answers, out)
    (out / pages.FIGURES).write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in drawn:
        if path is not None:
            progress(f"drawn: {path}")
    return metrics
