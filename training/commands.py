"""Train or measure a model: dispatch to the room that knows how."""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import ModelError
from core.policy.drift import Observation, counted
from core.records import Prediction
from models import registry

Progress = Callable[[str], None]


def train(
    name: str,
    data: Path,
    out: Path,
    wanted: Mapping[str, Any] = MappingProxyType({}),
    *,
    resume: bool = True,
    progress: Progress = print,
) -> dict[str, Any]:
    """Train ``name`` on ``data`` and write weights.safetensors, card.toml and metrics.json to ``out``.

    Seeded and resumable: where ``out`` holds a checkpoint of the same recipe the training goes on from it.
    ``wanted``: ``seed``, ``fold`` (which part is held out), ``epochs``, ``init`` (a safetensors file to begin with); what is None or
    not there is the room's recipe. Returns the metrics.

    Raises
    ------
    ModelError
        Data are missing, or something is wanted that this model's training does not know.
    """
    module = importlib.import_module(f"training.{registry.folder(name).name}.train")
    asked = {key: value for key, value in wanted.items() if value is not None}
    unknown = sorted(asked.keys() - inspect.signature(module.train).parameters.keys())
    if unknown:
        raise ModelError(f"the training of {name} takes no --{unknown[0]}", hint="leave it out")
    out.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = module.train(data, out, **asked, resume=resume, progress=progress)
    return metrics


def crossval(name: str, data: Path, out: Path, *, only_report: bool = False, progress: Progress = print) -> dict[str, Any]:
    """Train every fold that ``out`` does not hold yet, and measure all of them together, by the room's own protocol.

    Raises
    ------
    ModelError
        The model has no folds, or data are missing.
    """
    room = registry.folder(name)
    if importlib.util.find_spec(f"training.{room.name}.cross_validation") is None:
        raise ModelError(f"{name} has no cross-validation", hint="models train and models evaluate measure it")
    out.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"training.{room.name}.cross_validation")
    metrics: dict[str, Any] = module.crossval(data, out, only_report=only_report, progress=progress)
    return metrics


def evaluate(name: str, data: Path, *, progress: Progress = print) -> dict[str, Any]:
    """The shipped weights' figures on the held-out part of ``data``, by the room's own protocol."""
    module = importlib.import_module(f"training.{registry.folder(name).name}.train")
    metrics: dict[str, Any] = module.evaluate(data, progress=progress)
    return metrics


def evaluate_into(
    name: str, data: Path, out: Path, *, progress: Progress = print, limit_per_class: int | None = None, device: str = "auto"
) -> dict[str, Any]:
    """As ``evaluate``, with intervals, and pictures in ``out``; figures.json there is what the model's page shows.

    A classifier is asked once more, through the path that serves; whole groups (lesions) are drawn for the intervals.
    A detector gets the curve (with what the card says of series that its training never saw) and no intervals: two patients
    carry none. ``limit_per_class`` measures on less (tests).
    The worst of a classifier's wrong answers are drawn into ``out``/failures: real images, which never go into the documentation.
    """
    from models import drift_observation, runtime
    from training import bootstrap, held_out, model_pages, plots, worst_confusions

    out.mkdir(parents=True, exist_ok=True)
    card = registry.card(name)
    metrics: dict[str, Any] = {"weights_sha256": card.weights_sha256, "digest": registry.pipeline_digest(name), "version": card.version}
    drawn: list[Path | None] = []
    seen: list[Observation] = []
    worst = worst_confusions.Failures()

    def note(case: held_out.Case, prediction: Prediction) -> None:
        seen.extend(drift_observation.observe(case.photograph, prediction))
        if prediction.probabilities:
            said = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
            worst.add(case.photograph, case.label, said, prediction.probabilities[said])

    answers = held_out.answers(
        runtime.load(name, device=device),
        data,
        progress=progress,
        limit_per_class=limit_per_class,
        seen=note,
    )
    if answers is None:
        metrics |= evaluate(name, data, progress=progress)
        drawn.append(plots.froc({**card.metrics, **metrics}, out / "froc.png"))
    else:
        groups, kind = len(set(answers.groups)), held_out.SETS[card.name].group
        metrics["measured"] = (
            f"{len(answers.labels)} held-out images of {groups} {kind}, asked as they are served; {answers.abstained} more had no answer; "
            f"intervals: {bootstrap.RESAMPLES} bootstrap samples of whole {kind}"
        )
        metrics["abstained"] = answers.abstained
        metrics["n"] = len(answers.labels)
        metrics["groups"] = groups
        metrics["intervals"] = bootstrap.bootstrap(answers)
        metrics["confusion"] = {"labels": answers.names, "rows_truth_columns_model": bootstrap.confusion(answers).tolist()}
        metrics["reference"] = counted(seen)  # of inputs and scores: a card may take it over, `models drift` compares with it
        drawn += [*plots.classifier(answers, out), worst.draw(out)]
    (out / model_pages.FIGURES).write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in drawn:
        if path is not None:
            progress(f"drawn: {path}")
    return metrics
