"""Runs an imported classifier on many small pictures of one unit, a batch at a time, so that memory does not grow with their number."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import structlog

from models.bundle.classifier.aggregate import Values
from models.bundle.classifier.model import BundleClassifier

BATCH = 16
PROGRESS_S = 20.0

log = structlog.get_logger()


class PartsClassifier(BundleClassifier):
    """The base of classifiers whose units have many parts: frames or tiles. Each unit is a pass of its own."""

    part = "part"

    def score_parts(self, pictures: Iterable[npt.NDArray[np.uint8]], count: int) -> Values:
        """(N, C) class values of pictures, (Y, X, 3) uint8 each, which are taken from the iterator as they are needed.

        A line is logged every 20 s. The lease of the job is renewed meanwhile by a thread of its own.
        """
        began = logged = time.monotonic()
        found = [np.empty((0, len(self.card.labels)), np.float64)]
        done, remaining = 0, iter(pictures)
        while batch := list(islice(remaining, BATCH)):
            prepared = [self._prepare(self._picture(rgb)) for rgb in batch]
            found += self._values_in_batches(prepared)
            done += len(batch)
            if (now := time.monotonic()) - logged >= PROGRESS_S:
                logged = now
                log.info("parts_analysed", model=self.card.name, kind=self.part, count=done, expected=count, seconds=round(now - began))
        return np.concatenate(found)

    def _values_in_batches(self, prepared: list[object]) -> Iterator[Values]:
        """Class values of prepared pictures, in one pass where all have the same size."""
        if len({tuple(one.shape) for one in prepared}) == 1:  # type: ignore[attr-defined]
            yield self._class_values(*prepared)
        else:
            for one in prepared:
                yield self._class_values(one)
