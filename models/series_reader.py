"""Reads a series as a model takes it: a CT volume, the frames of OCT and ultrasound, or a whole slide."""

from collections.abc import Sequence
from pathlib import Path

from imaging.frames.frame_series import FrameSeries, read_frame_series
from imaging.slide.slide import Slide, read_slide, require_one_area
from imaging.volume.volume import Volume, read_volume
from models.card import ModelCard


def read_series(paths: Sequence[Path], card: ModelCard, *, threads: int = 2) -> Volume | FrameSeries | Slide:
    """The images of one series, by the card's modality.

    Raises
    ------
    GeometryError, PixelError, CannotUnderstand, NotAnalysable
        The series cannot be analysed by this model; the message goes into the report.
    """
    if card.modality == "SM":
        return require_one_area(read_slide(paths))
    if card.modality:
        return read_frame_series(paths, card.modality)
    return read_volume(paths, threads=threads, tilted=card.tilt == "resample", derived=card.derived == "note")
