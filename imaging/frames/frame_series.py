"""A series of multi-frame images as one sequence of frames: an OCT volume (PS3.3 A.52), or ultrasound loops (A.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.counted import counted
from core.errors import GeometryError, NotAnalysable
from imaging.frames.concatenation import check_whole
from imaging.frames.frame_file import FrameFile
from imaging.frames.frame_spacing import frame_spacing
from imaging.wire.notes import add_note

# SOP classes that are read, by Modality, with their names (PS3.4 B.5).
SOP_CLASSES = {
    "OPT": {"1.2.840.10008.5.1.4.1.1.77.1.5.4": "Ophthalmic Tomography Image"},
    "US": {"1.2.840.10008.5.1.4.1.1.3.1": "Ultrasound Multi-frame Image"},
}
MAX_VOLUME_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class FrameSeries:
    """The frames of a series, in the order of Instance Number and frame.

    Attributes
    ----------
    files
        One for each instance.
    frames
        For each frame the index of its file, and its number in there, from 1.
    spacing_mm
        Distance between frames, rows and columns; None where the headers do not state all of them.
    notes
        What was left out or tolerated, in words.
    """

    files: tuple[FrameFile, ...]
    frames: tuple[tuple[int, int], ...]
    spacing_mm: tuple[float, float, float] | None
    notes: tuple[str, ...]

    @property
    def is_colour(self) -> bool:
        """Whether any of the frames has colours."""
        return any(file.is_colour for file in self.files)

    def rgb(self, index: int) -> NDArray[np.uint8]:
        """(Y, X, 3) uint8 of the frame ``index``, from 0. Raises `PixelError`."""
        file, number = self.frames[index]
        return self.files[file].rgb(number)

    def place(self, index: int) -> tuple[str, int]:
        """SOP Instance UID of the frame ``index``, and its number in that instance, from 1."""
        file, number = self.frames[index]
        return self.files[file].sop_instance_uid, number

    def grey_volume(self) -> NDArray[np.uint8]:
        """(frames, Y, X) uint8; of colours their luminance.

        Raises `GeometryError` for frames of different sizes, or a volume of more than 1 GiB.
        """
        sizes = {(file.spec.rows, file.spec.columns) for file in self.files}
        if len(sizes) > 1:
            raise GeometryError(f"the frames of a volume have one size, these have {len(sizes)}")
        shape = (len(self.frames), *sizes.pop())
        if int(np.prod(shape)) > MAX_VOLUME_BYTES:
            raise GeometryError(f"a volume of {shape[0]} x {shape[1]} x {shape[2]} is larger than the {MAX_VOLUME_BYTES} bytes allowed")
        volume = np.empty(shape, np.uint8)
        for index in range(shape[0]):
            rgb, coloured = self.rgb(index), self.files[self.frames[index][0]].is_colour
            volume[index] = np.asarray(Image.fromarray(rgb).convert("L")) if coloured else rgb[..., 0]
        return volume


def read_frame_series(paths: Sequence[Path], modality: str, *, whole: bool = True) -> FrameSeries:
    """Read the headers of a series; no frame is decoded yet.

    Parameters
    ----------
    paths
        Files of one series in any order.
    modality
        A key of `SOP_CLASSES`. Instances of other SOP classes are left out, with a note. "": none is left out.
    whole
        Refuse a concatenation of which an instance is missing.

    Raises
    ------
    NotAnalysable
        No instance is of a SOP class of the modality, or the images are of both eyes.
    GeometryError
        An instance of a concatenation is missing.
    PixelError
        The frames of an instance cannot be found.
    CannotUnderstand
        A file is not DICOM.
    """
    wanted, notes = SOP_CLASSES.get(modality, {}), list[str]()
    read = [FrameFile(path) for path in paths]
    files = [file for file in read if not modality or file.sop_class_uid in wanted]
    files.sort(key=lambda file: (file.instance_number, file.sop_instance_uid))
    if not files:
        came = counted(len(read), "instance of another SOP class", "instances of other SOP classes")
        raise NotAnalysable(f"{' or '.join(wanted.values())} Storage is expected, {came} came")
    if len(files) < len(read):
        others = counted(len(read) - len(files), "instance of another SOP class was", "instances of other SOP classes were")
        notes.append(f"{others} left out")
    if modality and len(sides := {file.laterality for file in files} - {""}) > 1:
        raise NotAnalysable(f"the images of one eye are expected, the series has {len(sides)} sides", hint="send each eye as a series")
    if whole:
        check_whole(file.header for file in files)
    for note in (note for file in files for note in file.notes):
        add_note(notes, note)
    frames = [(index, number) for index, file in enumerate(files) for number in range(1, file.spec.frames + 1)]
    return FrameSeries(tuple(files), tuple(frames), frame_spacing(files[0].header) if len(files) == 1 else None, tuple(notes))
