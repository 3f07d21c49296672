"""The image planes that masks lie on, and the references to them in a segmentation.

highdicom is given a substitute for each plane: a single-frame image with a UID of its own and the plane's true position. One path
then serves single-frame, Enhanced and photographic sources, even with flawed headers; `restore_references` puts the true images in.
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
from workers.encode.dicom_modules import round_for_ds, sop_reference
from workers.encode.source_images.source import ImageReference


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """One image plane.

    ``frame``: of a multi-frame image, from 1, else None. ``corner``: Image Position (Patient), None on a photograph.
    """

    z: int
    image: ImageReference
    frame: int | None
    corner: Lps | None

    @property
    def substitute_uid(self) -> str:
        """The UID of its substitute, which does not appear in the finished object."""
        return f"2.25.{self.z + 1}"


def grid_shape(item: Volume | Photograph) -> tuple[int, int, int]:
    """(Z, Y, X) of the unit's voxels; a photograph is one plane."""
    if isinstance(item, Photograph):
        return 1, item.rgb.shape[0], item.rgb.shape[1]
    return item.hu.shape[0], item.hu.shape[1], item.hu.shape[2]


def planes_of_masks(analysis: Analysis, item: Volume | Photograph, masks: Iterable[Mask]) -> tuple[ImagePlane, ...]:
    """The planes on which at least one mask has a voxel, in the order of z."""
    occupied = {mask.origin[0] + z for mask in masks for z, plane in enumerate(unpack_mask(mask)) if plane.any()}
    if isinstance(item, Photograph):
        image = analysis.source.images[0]
        return tuple(ImagePlane(z, image, 1 if image.number_of_frames > 1 else None, None) for z in sorted(occupied))
    slices_per_image = Counter(item.sop_instance_uids)
    planes = []
    for z in sorted(occupied):
        uid, frame = item.sop_instance_uids[z], item.frame_numbers[z]
        multi_frame = frame > 1 or slices_per_image[uid] > 1
        planes.append(ImagePlane(z, analysis.source.image(uid), frame if multi_frame else None, item.corner(z)))
    return tuple(planes)


def substitute_images(analysis: Analysis, item: Volume | Photograph, planes: Sequence[ImagePlane]) -> list[Dataset]:
    """A data set for each plane, with the attributes that highdicom requires of a source image."""
    _, rows, columns = grid_shape(item)
    common, images = Dataset(), []
    for keyword in TYPE_2:
        setattr(common, keyword, "")
    common.SOPClassUID = SecondaryCaptureImageStorage
    common.StudyInstanceUID, common.SeriesInstanceUID = analysis.source.study_instance_uid, analysis.source.series_instance_uid
    common.Modality, common.Rows, common.Columns = analysis.source.modality, rows, columns
    common.update(analysis.source.lossy)
    if isinstance(item, Volume):
        _add_volume_geometry(common, item, analysis.frame_of_reference_uid)
    for plane in planes:
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID = plane.substitute_uid
        if plane.corner is not None:
            image.ImagePositionPatient = [round_for_ds(value) for value in plane.corner]
        images.append(image)
    return images


def _add_volume_geometry(image: Dataset, volume: Volume, frame_of_reference_uid: str) -> None:
    dz, dy, dx = volume.spacing_mm
    image.SOPClassUID = CTImageStorage
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = frame_of_reference_uid, ""
    image.ImageOrientationPatient = [round_for_ds(value) for value in (*volume.affine[:3, 0] / dx, *volume.affine[:3, 1] / dy)]
    image.PixelSpacing = [round_for_ds(dy), round_for_ds(dx)]
    image.SliceThickness = image.SpacingBetweenSlices = round_for_ds(dz)


def restore_references(document: Dataset, analysis: Analysis, planes: Sequence[ImagePlane]) -> None:
    """Replace references to substitutes by the true images: of the whole object (PS3.3 C.12.2) and of each frame (C.7.6.16.2.6)."""
    by_uid = {plane.substitute_uid: plane for plane in planes}
    frames = document.PerFrameFunctionalGroupsSequence
    uids = [str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID) for frame in frames]
    for frame, uid in zip(frames, uids, strict=True):  # highdicom shares items between frames: each gets its own
        frame.DerivationImageSequence = [_derivation(frame.DerivationImageSequence[0], by_uid[uid])]
    images = list(dict.fromkeys(plane.image for plane in planes))
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedInstanceSequence = [sop_reference(image) for image in images]
    document.ReferencedSeriesSequence = [series]
    document.SourceImageSequence = [_reference_with_frames(image, list(own)) for image, own in groupby(planes, lambda plane: plane.image)]


def _derivation(written: Dataset, plane: ImagePlane) -> Dataset:
    derivation, source = Dataset(), Dataset()
    derivation.DerivationCodeSequence = written.DerivationCodeSequence
    source.update(written.SourceImageSequence[0])
    source.update(_reference_with_frames(plane.image, [plane]))
    derivation.SourceImageSequence = [source]
    return derivation


def _reference_with_frames(image: ImageReference, planes: Sequence[ImagePlane]) -> Dataset:
    item = sop_reference(image)
    frames = [plane.frame for plane in planes if plane.frame is not None]
    if frames:
        item.ReferencedFrameNumber = frames
    return item
