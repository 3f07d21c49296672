"""Attributes of a frame, wherever they stand: in per-frame or shared functional groups (PS3.3 C.7.6.16), or in the data set itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

from pydicom.dataset import Dataset

from core.counted import counted
from core.errors import GeometryError
from imaging.wire.tolerant_values import TolerantReader


@dataclass(frozen=True, slots=True)
class FrameGroups:
    """The data sets that describe one frame, in the order in which they are searched for a macro."""

    places: tuple[Dataset, ...]

    def macro_item(self, macro: str) -> Dataset | None:
        """The item of a functional group macro; None if no place has it."""
        for place in self.places:
            items = place.get(macro)
            if items is not None and len(items):
                return cast(Dataset, items[0])
        return None

    def macro_reader(self, macro: str, notes: list[str]) -> TolerantReader:
        """A reader of the macro's item; of the data set itself for a classic image, which has no macros."""
        item = self.macro_item(macro)
        return TolerantReader(item if item is not None else self.places[-1], notes)


def read_frame_groups(dataset: Dataset, frames: int) -> list[FrameGroups]:
    """The groups of each of ``frames`` frames.

    Raises
    ------
    GeometryError
        The functional groups describe another number of frames, or a multi-frame image has none.
    """
    if "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset:
        groups = list(_functional_groups(dataset))
        if len(groups) != frames:
            raise GeometryError(f"{counted(frames, 'frame')} expected, {len(groups)} described in the functional groups")
        return groups
    if frames > 1:
        raise GeometryError("a multi-frame image without functional groups has no positions")
    return [FrameGroups((dataset,))]


def _functional_groups(dataset: Dataset) -> Iterator[FrameGroups]:
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or []:
        yield FrameGroups((frame, *islice(shared, 1)))
