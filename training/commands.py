"""The commands ``models train``, ``crossval`` and ``evaluate``: each calls ``training.<package>`` of the model that is named."""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from core.errors import ModelError
from core.policy.drift import DriftObservation, count_by_bin
from core.records import Prediction
from models import registry
from models.card import read_card
from training.extra import require_training_extra

Progress = Callable[[str], None]


def training_module(name: str, module: str) -> ModuleType | None:
    """Import ``module`` of the training package of model ``name``; None where the package has no such module.

    A model's training package is called as its package under ``models/``.
    """
    package = f"training.{registry.folder(name).name}"
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(f"{package}.{module}") is None:
        return None
    return importlib.import_module(f"{package}.{module}")


def _required_module(name: str, module: str, hint: str) -> ModuleType:
    found = training_module(name, module)
    if found is None:
        raise ModelError(f"{name} has no {module.replace('_', '-')} in training/", hint=hint)
    return found


def train(
    name: str,
    data: Path,
    out: Path,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    resume: bool = True,
    progress: Progress = print,
) -> dict[str, Any]:
    """Train ``name`` on ``data`` and write weights.safetensors, card.toml and metrics.json to ``out``; return the metrics.

    Seeded and resumable: a checkpoint of the same recipe in ``out`` is continued.
    ``options``: ``seed``, ``fold`` (which part is held out), ``epochs``, ``init`` (a safetensors file to start from). Options that are
    None or absent take the value of the model's recipe.

    Raises
    ------
    ModelError
        Data are missing, or the training of this model has no such option.
    """
    require_training_extra("models train")
    module = _required_module(name, "train", hint="this model is trained elsewhere")
    given = {key: value for key, value in options.items() if value is not None}
    unknown = sorted(given.keys() - inspect.signature(module.train).parameters.keys())
    if unknown:
        raise ModelError(f"the training of {name} takes no --{unknown[0]}", hint="leave it out")
    out.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = module.train(data, out, **given, resume=resume, progress=progress)
    return metrics


def crossval(name: str, data: Path, out: Path, *, only_report: bool = False, progress: Progress = print) -> dict[str, Any]:
    """Train every fold that ``out`` does not hold yet, and measure all folds by the protocol of the model's training package.

    Raises
    ------
    ModelError
        The model has no folds, or data are missing.
    """
    require_training_extra("models crossval")
    module = _required_module(name, "cross_validation", hint="measure it with `models train` and `models evaluate`")
    out.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = module.crossval(data, out, only_report=only_report, progress=progress)
    return metrics


def evaluate(name: str, data: Path, *, progress: Progress = print) -> dict[str, Any]:
    """Measure the shipped weights on the held-out part of ``data`` by the protocol of the model's training package."""
    require_training_extra("models evaluate")
    module = _required_module(name, "train", hint="this model is measured elsewhere")
    metrics: dict[str, Any] = module.evaluate(data, progress=progress)
    return metrics


def evaluate_into(
    name: str, data: Path, out: Path, *, version: Path | None = None, progress: Progress = print, limit_per_class: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:  # fmt: skip
    """As ``evaluate``, with intervals, and with plots in ``out``; the model's page shows figures.json of that folder.

    A classifier is measured through the code path that serves, and its intervals redraw whole groups (lesions). A detector gets the FROC
    curve (with what the card says of series that its training never saw) and no intervals: two patients carry none.
    ``version``: the folder with card and weights of another version than the shipped one. Of a classifier the answers are written too
    (`models.regression.stored_answers`): put beside card and weights, they are what `models activate` compares with.
    ``limit_per_class`` measures fewer images (tests). The classifier's wrong answers of highest probability are drawn into
    ``out``/failures: they are images of patients and never go into the documentation.

    Raises
    ------
    ModelError
        ``version`` is of another model, or of a detector, whose shipped version alone is measured by this command.
    """
    require_training_extra("models evaluate")
    from models import drift_observation, runtime
    from models.regression.stored_answers import save_answers
    from training import bootstrap, classifier_metrics, held_out, plots, worst_answers
    from training.gathered_answers import GatheredAnswers
    from training.pages import model_pages

    folder = registry.folder(name) if version is None else version
    card, digest = read_card(folder / "card.toml"), registry.folder_digest(folder)
    images = training_module(name, "held_out")
    if card.name != name:
        raise ModelError(f"{folder} holds a version of {card.name}, not of {name}", hint="name the model that it is of")
    if version is not None and images is None:
        hint = f"`python -m training.{registry.folder(name).name}.real.evaluate_real --model {folder}` measures that one"
        raise ModelError(f"of {name} this command measures the shipped version alone", hint=hint)
    out.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = {"weights_sha256": card.weights_sha256, "digest": digest, "version": card.version}
    drawn: list[Path | None] = []
    observations: list[DriftObservation] = []
    worst, gathered = worst_answers.WorstAnswers(), GatheredAnswers(tuple(label.name for label in card.labels))

    def on_answer(image: held_out.HeldOutImage, prediction: Prediction) -> None:
        observations.extend(drift_observation.observe(image.photograph, prediction))
        gathered.add(image, prediction)
        if prediction.probabilities:
            top = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
            worst.add(image.photograph, image.label, top, prediction.probabilities[top])

    if images is None:
        metrics |= evaluate(name, data, progress=progress)
        drawn.append(plots.draw_froc({**card.metrics, **metrics}, out / "froc.png"))
    else:
        model = runtime.load_folder(folder, device=device, package=registry.folder(name).name)
        answers = held_out.held_out_answers(model, images.batches(model, data, limit_per_class), progress=progress, on_answer=on_answer)
        groups = len(set(answers.groups.tolist()))
        metrics["measured"] = (
            f"{len(answers.labels)} held-out images of {groups} {images.GROUP}, through the code path that serves; {answers.abstained} "
            f"more had no answer; intervals: {bootstrap.RESAMPLES} bootstrap samples of whole {images.GROUP}"
        )
        metrics["abstained"] = answers.abstained
        metrics["n"] = len(answers.labels)
        metrics["groups"] = groups
        metrics["intervals"] = bootstrap.bootstrap_metrics(answers)
        metrics["confusion"] = {"labels": answers.names, "rows_truth_columns_model": classifier_metrics.confusion(answers).tolist()}
        metrics["reference"] = count_by_bin(observations)  # of inputs and scores: a card may take it over, `models drift` compares with it
        drawn += [*plots.draw_classifier_plots(answers, out), worst.draw(out), save_answers(gathered.answers(), out)]
    (out / model_pages.FIGURES).write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in drawn:
        if path is not None:
            progress(f"written: {path}")
    return metrics
