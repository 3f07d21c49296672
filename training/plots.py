"""Plots of metrics as PNG: reliability, confusion, ROC, FROC, training curves. matplotlib is imported when a plot is drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import auc, confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN = 5.0
DPI = 110
BINS = 15
RATE = "at_{}_false_per_scan"
CURVE = "froc"
LOWEST_RATE = 0.125  # a logarithmic axis has no 0


def draw_classifier_plots(answers: ClassifierAnswers, out: Path) -> list[Path]:
    """All plots of a classifier into ``out``."""
    return [
        draw_reliability(answers, out / "reliability.png"),
        draw_confusion(answers, out / "confusion.png"),
        draw_roc_curves(answers, out / "roc.png"),
    ]


def draw_square(path: Path, title: str, paint: Callable[["Axes"], None], *, size_in: float = SIZE_IN) -> Path:
    """Draw one square plot without a display. The same content gives the same bytes with the same version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size_in, size_in), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    paint(axes)
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def draw_reliability(answers: ClassifierAnswers, path: Path) -> Path:
    """Accuracy of the most probable class over its probability, with the share of images in each bin."""
    confidence = answers.probabilities.max(axis=1)
    right = answers.chosen == answers.labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [b for b in range(BINS) if (place == b).any()]

    def paint(axes: "Axes") -> None:
        axes.bar([(b + 0.5) / BINS for b in bins], [(place == b).mean() for b in bins], 1 / BINS, color="0.85", label="share of images")
        axes.plot((0, 1), (0, 1), color="0.5", linestyle="--", label="perfect")
        axes.plot([confidence[place == b].mean() for b in bins], [right[place == b].mean() for b in bins], "o-", label="model")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the class named", ylabel="share that is right")
        axes.legend(loc="upper left")

    return draw_square(path, f"Reliability, n = {len(answers.labels)}", paint)


def draw_confusion(answers: ClassifierAnswers, path: Path) -> Path:
    """Counts, coloured by the share of the true class."""
    counts = confusion(answers)
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    places = range(len(answers.names))

    def paint(axes: "Axes") -> None:
        axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set_xticks(places, answers.names, rotation=45)
        axes.set_yticks(places, answers.names)
        axes.set(xlabel="model", ylabel="truth")
        for row in places:
            for column in places:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)

    return draw_square(path, f"Confusion, n = {len(answers.labels)}", paint, size_in=6.0)


def draw_roc_curves(answers: ClassifierAnswers, path: Path) -> Path:
    """One curve for every class against the rest, and one for malignancy."""
    from sklearn.metrics import roc_curve

    curves = [(name, answers.probabilities[:, c], answers.labels == c) for c, name in enumerate(answers.names)]
    if answers.malignant.any() and not answers.malignant.all():
        curves.append(("malignant", answers.probabilities[:, answers.malignant].sum(axis=1), answers.malignant[answers.labels]))

    def paint(axes: "Axes") -> None:
        axes.plot((0, 1), (0, 1), color="0.8", linestyle="--")
        for name, scores, positive in curves:
            if 0 < positive.sum() < len(positive):
                width = 2.5 if name == "malignant" else 1.2
                false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
                axes.plot(false, true, label=f"{name} {auc(scores, positive):.3f}", linewidth=width)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="1 - specificity", ylabel="sensitivity")
        axes.legend(loc="lower right", title="area")

    return draw_square(path, f"ROC, n = {len(answers.labels)}", paint)


def draw_froc(metrics: Mapping[str, Any], path: Path) -> Path | None:
    """Sensitivity over false positives per scan, one line for each set of scans; None where ``metrics`` holds no such figures."""
    lines = list(_froc_lines(metrics, ()))
    if not lines:
        return None

    def paint(axes: "Axes") -> None:
        for name, points in lines:
            rates, found = zip(*points, strict=True)
            axes.plot([max(rate, LOWEST_RATE) for rate in rates], found, "o-", drawstyle="steps-post", markersize=3, label=name)
        axes.set_xscale("log", base=2)
        highest = max(1.0, *(rate for _, points in lines for rate, _ in points))
        ticks = [LOWEST_RATE * 2**k for k in range(int(np.ceil(np.log2(highest / LOWEST_RATE))) + 1)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set(ylim=(0, 1.01), xlabel=f"false positives per scan (the first tick: {LOWEST_RATE:g} or fewer)")
        axes.set_ylabel("sensitivity")
        axes.legend(loc="lower right", fontsize=7)

    return draw_square(path, "FROC", paint)


def _froc_lines(metrics: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Every table below ``metrics`` that holds a whole curve, or sensitivities at rates, with its path as the name."""
    head, tail = RATE.split("{}")
    points = [(float(rate), float(found)) for rate, found in metrics.get(CURVE, [])]
    points = points or [(float(key.removeprefix(head).removesuffix(tail)), float(value)) for key, value in metrics.items() if _is_rate(key)]
    if points:
        yield " / ".join(place).replace("_", " "), sorted(points)
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _froc_lines(value, (*place, key))


def _is_rate(key: str) -> bool:
    head, tail = RATE.split("{}")
    return key.startswith(head) and key.endswith(tail)


def draw_training_curves(stages: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> Path:
    """One panel for every figure of the history but ``epoch``, over the epochs of all stages one after another.

    ``stages``: name -> one mapping per epoch; a figure that was not measured in an epoch is not in its mapping.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(key for history in stages.values() for entry in history for key in entry if key != "epoch"))
    starts = np.cumsum([0, *(len(history) for history in stages.values())])
    figure = Figure(figsize=(SIZE_IN * 1.6, 2.2 * max(1, len(names))), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, place + 1)
        for (stage, history), start in zip(stages.items(), starts, strict=False):
            points = [(start + number + 1, entry[name]) for number, entry in enumerate(history) if name in entry]
            if points:
                axes.plot(*zip(*points, strict=True), "o-" if len(points) < len(history) else "-", label=stage, markersize=3)
        axes.set(xlim=(0, max(1, int(starts[-1])) + 1), ylabel=name.replace("_", " "))
        axes.legend(loc="best", fontsize=7)
        if place + 1 == len(names):
            axes.set_xlabel("epoch")
    figure.savefig(path, format="png", metadata={"Software": None})
    return path
