"""The image planes that masks lie on, and what a segmentation says of them.

highdicom is given a stand-in for each plane: a single-frame CT image of a name of its own, with the plane's true place. So one path
serves single-frame, Enhanced and photographic sources, however flawed their headers; `references` then puts the true names in.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from core.iods import TYPE_2
from core.records import Lps, Mask
from imaging.masks import unpack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.source import ImageReference


@dataclass(frozen=True, slots=True)
class Plane:
    """One image plane. ``frame``: of a multi-frame image, from 1, else None. ``corner``: Image Position (Patient), None on a photograph."""

    z: int
    image: ImageReference
    frame: int | None
    corner: Lps | None

    @property
    def name(self) -> str:
        """The UID of its stand-in, which leaves nothing behind in the object."""
        return f"2.25.{self.z + 1}"


def grid(item: Volume | Photograph) -> tuple[int, int, int]:
    """(Z, Y, X) of the unit's voxels; a photograph is one plane."""
    if isinstance(item, Photograph):
        return 1, item.rgb.shape[0], item.rgb.shape[1]
    return item.hu.shape[0], item.hu.shape[1], item.hu.shape[2]


def planes_of(analysis: Analysis, item: Volume | Photograph, masks: Iterable[Mask]) -> tuple[Plane, ...]:
    """The planes on which at least one mask has a voxel, in the order of z."""
    hit = {mask.origin[0] + z for mask in masks for z, plane in enumerate(unpack_mask(mask)) if plane.any()}
    if isinstance(item, Photograph):
        image = analysis.source.images[0]
        return tuple(Plane(z, image, 1 if image.number_of_frames > 1 else None, None) for z in sorted(hit))
    slices = Counter(item.sop_instance_uids)
    made = []
    for z in sorted(hit):
        uid, frame = item.sop_instance_uids[z], item.frame_numbers[z]
        made.append(Plane(z, analysis.source.image(uid), frame if frame > 1 or slices[uid] > 1 else None, item.corner(z)))
    return tuple(made)


def stand_ins(analysis: Analysis, item: Volume | Photograph, planes: Sequence[Plane]) -> list[Dataset]:
    """A data set a plane, with what highdicom asks of a source image."""
    _, rows, columns = grid(item)
    alike, made = Dataset(), []
    for keyword in TYPE_2:
        setattr(alike, keyword, "")
    alike.SOPClassUID = SecondaryCaptureImageStorage
    alike.StudyInstanceUID, alike.SeriesInstanceUID = analysis.source.study_instance_uid, analysis.source.series_instance_uid
    alike.Modality, alike.Rows, alike.Columns = analysis.source.modality, rows, columns
    alike.update(analysis.source.lossy)
    if isinstance(item, Volume):
        _place(alike, item, analysis.frame_of_reference_uid)
    for plane in planes:
        image = Dataset()
        image.update(alike)
        image.SOPInstanceUID = plane.name
        if plane.corner is not None:
            image.ImagePositionPatient = [_decimal(value) for value in plane.corner]
        made.append(image)
    return made


def _place(image: Dataset, volume: Volume, frame_of_reference_uid: str) -> None:
    dz, dy, dx = volume.spacing_mm
    image.SOPClassUID = CTImageStorage
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = frame_of_reference_uid, ""
    image.ImageOrientationPatient = [_decimal(value) for value in (*volume.affine[:3, 0] / dx, *volume.affine[:3, 1] / dy)]
    image.PixelSpacing = [_decimal(dy), _decimal(dx)]
    image.SliceThickness = image.SpacingBetweenSlices = _decimal(dz)


def _decimal(value: float) -> float:
    """What VR DS can hold in its 16 characters, and no float noise behind it."""
    return float(f"{value:.9g}")


def references(document: Dataset, analysis: Analysis, planes: Sequence[Plane]) -> None:
    """The true names of the images: of the whole object (PS3.3 C.12.2) and of each frame (C.7.6.16.2.6)."""
    by_name = {plane.name: plane for plane in planes}
    frames = document.PerFrameFunctionalGroupsSequence
    names = [str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID) for frame in frames]
    for frame, name in zip(frames, names, strict=True):  # highdicom shares items between frames: each gets its own
        frame.DerivationImageSequence = [_derivation(frame.DerivationImageSequence[0], by_name[name])]
    images = list(dict.fromkeys(plane.image for plane in planes))
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedInstanceSequence = [reference(image) for image in images]
    document.ReferencedSeriesSequence = [series]
    document.SourceImageSequence = [_with_frames(image, list(own)) for image, own in groupby(planes, lambda plane: plane.image)]


def _derivation(written: Dataset, plane: Plane) -> Dataset:
    own, source = Dataset(), Dataset()
    own.DerivationCodeSequence = written.DerivationCodeSequence
    source.update(written.SourceImageSequence[0])
    source.update(_with_frames(plane.image, [plane]))
    own.SourceImageSequence = [source]
    return own


def reference(image: ImageReference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class_uid, image.sop_instance_uid
    return item


def _with_frames(image: ImageReference, planes: Sequence[Plane]) -> Dataset:
    item = reference(image)
    frames = [plane.frame for plane in planes if plane.frame is not None]
    if frames:
        item.ReferencedFrameNumber = frames
    return item
