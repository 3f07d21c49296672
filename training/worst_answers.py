"""Draws a classifier's wrong answers of highest probability as one picture, for the person who measures the model."""

import heapq
from pathlib import Path

from imaging.photograph.read import Photograph
from training.plots import DPI

COUNT = 12
COLUMNS = 4
FOLDER = "failures"  # in the folder of the figures; its pictures are of patients and stay out of the documentation


class WorstAnswers:
    """Keeps the ``COUNT`` wrong answers of highest probability."""

    def __init__(self) -> None:
        self._worst: list[tuple[float, int, Photograph, str, str]] = []
        self._count = 0

    def add(self, photograph: Photograph, truth: str, answer: str, probability: float) -> None:
        """Add one answer; right answers are ignored."""
        self._count += 1
        if truth != answer:
            entry = (probability, -self._count, photograph, truth, answer)
            (heapq.heappush if len(self._worst) < COUNT else heapq.heappushpop)(self._worst, entry)

    def draw(self, out: Path) -> Path | None:
        """``out``/failures/worst.png: truth, answer and its probability above every image; None where no answer was wrong."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        if not self._worst:
            return None
        ordered = sorted(self._worst, key=lambda entry: entry[:2], reverse=True)
        rows = -(-len(ordered) // COLUMNS)
        figure = Figure(figsize=(COLUMNS * 2.2, rows * 2.4), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for place, (probability, _, photograph, truth, answer) in enumerate(ordered):
            axes = figure.add_subplot(rows, COLUMNS, place + 1)
            axes.imshow(photograph.rgb)
            axes.set_title(f"{truth}, said {answer} {probability:.2f}", fontsize=9)
            axes.set_axis_off()
        folder = out / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "worst.png"
        figure.savefig(path, format="png", metadata={"Software": None})
        return path
