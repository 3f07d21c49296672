"""A nodule at a known position in the patient: coordinates of the report and frames of the segmentation lie on it.

What is expected is computed from the files' headers by the standard's formula; what is found is read back from the encoded files.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy import ndimage

from core.concepts import codes
from core.errors import GeometryError
from core.records import Finding, HeatMap, Prediction, UnitInput
from core.states import Outcome, ResultKind, Tier
from deploy.demo.synthetic.chest import make_chest
from imaging.masks import expand_mask, pack_heat_map, pack_mask
from imaging.volume.volume import Volume, read_volume
from models.ct.tilt_correction import TiltCorrectedModel
from models.protocol import Model
from tests.support import analyses, ball_phantoms
from tests.support.analyses import walk
from tests.support.enhanced_ct import enhanced_ct
from tests.support.real_data import shared_data
from workers.encode.analysis import Analysis
from workers.encode.objects import by_kind, segmentation
from workers.encode.source_images.source import read_source
from workers.encode.sr import document as sr_document
from workers.encode.validate import validator

CENTRE = (-31.4, 22.7, -118.2)
HU = ball_phantoms.BRIGHT - 1024


@dataclass(frozen=True, slots=True)
class Brightness:
    """A model that finds bright voxels: their mask, centre and slice; the heat map is their brightness."""

    bright: int

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        return [Prediction(Outcome.FINDINGS, (self._finding(volume),)) for volume in items]

    def _finding(self, volume: Volume) -> Finding:
        mask = volume.hu >= self.bright
        z, y, x = (float(index.mean()) for index in np.nonzero(mask))
        on = round(z)
        return Finding(
            label="nodule",
            code=codes.NODULE,
            score=0.9,
            tier=Tier.REVIEW,
            position_mm=volume.lps(z, y, x),
            sop_instance_uid=volume.sop_instance_uids[on],
            frame=volume.frame_numbers[on],
            image_point=(x + 0.5, y + 0.5),
            site=codes.LUNG,
            mask=pack_mask(mask),
        )

    def heat_map(self, item: Volume, _prediction: Prediction) -> HeatMap:
        return pack_heat_map((item.hu >= self.bright).astype(np.float32), meaning="brightness")


def found(paths: list[Path], bright: int = HU) -> tuple[Analysis, Volume]:
    """The analysis of that model."""
    volume = read_volume(paths)
    return analysed(paths, volume, Brightness(bright).predict([volume])[0]), volume


def analysed(paths: list[Path], volume: Volume, prediction: Prediction) -> Analysis:
    inputs = []
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        inputs.append(UnitInput(str(header.SOPInstanceUID), str(header.SOPClassUID), "", str(path)))
    return replace(
        analyses.ct(prediction, frame_of_reference=volume.frame_of_reference_uid),
        source=read_source(inputs, referenced=[finding.sop_instance_uid for finding in prediction.findings]),
        item=volume,
    )


def read_back(content: bytes) -> tuple[Dataset, np.ndarray]:
    """The segmentation and its frames, (frames, Y, X) of 0 and 1, unpacked by pydicom."""
    document = dcmread(io.BytesIO(content))
    return document, document.pixel_array.reshape(-1, document.Rows, document.Columns)


def place_of(document: Dataset, frame: Dataset) -> Dataset:
    """The plane attributes of one frame, as a single-frame image would have them."""
    shared = document.SharedFunctionalGroupsSequence[0]
    plane = Dataset()
    plane.ImagePositionPatient = frame.PlanePositionSequence[0].ImagePositionPatient
    plane.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    plane.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
    return plane


def lands(content: bytes, centre: tuple[float, float, float], radius_mm: float, voxel_mm: float) -> None:
    """Every voxel that is set lies in the ball, and their middle on its centre, within a voxel."""
    document, frames = read_back(content)
    points = []
    for frame, pixels in zip(document.PerFrameFunctionalGroupsSequence, frames, strict=True):
        rows, columns = np.nonzero(pixels)
        assert len(rows)  # sparse: no frame is empty
        points.append(ball_phantoms.pixel_positions_mm(place_of(document, frame), rows.astype(float), columns.astype(float)))
    away = np.linalg.norm(np.concatenate(points) - centre, axis=1)
    assert away.max() <= radius_mm + voxel_mm
    assert np.linalg.norm(np.concatenate(points).mean(axis=0) - centre) <= voxel_mm


def points_of(content: bytes, paths: list[Path]) -> list[np.ndarray]:
    """Every point of the report in patient coordinates, those on images by the header of the image that they name."""
    images = {str(dataset.SOPInstanceUID): dataset for dataset in map(dcmread, paths)}
    points = []
    for item in walk(dcmread(io.BytesIO(content))):
        if item.get("ValueType") == "SCOORD3D":
            assert item.ReferencedFrameOfReferenceUID == next(iter(images.values())).FrameOfReferenceUID
            points.append(np.array(item.GraphicData, float))
        elif item.get("ValueType") == "SCOORD":
            image = images[str(item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)]
            column, row = (float(value) for value in item.GraphicData)  # 0.5, 0.5 is the centre of the first pixel (PS3.3 C.18.6)
            points.append(ball_phantoms.pixel_positions_mm(image, np.array(row - 0.5), np.array(column - 0.5)))
    return points


def close(points: list[np.ndarray], centre: tuple[float, float, float], voxel_mm: float) -> bool:
    return bool(points) and all(np.linalg.norm(point - centre) <= voxel_mm for point in points)


def outline_and_reports_lie_on_the_nodule(analysis: Analysis, volume: Volume, paths: list[Path], voxel_mm: float) -> bytes:
    """Check a segmentation, and reports with and without it; return the segmentation."""
    outline = segmentation.encode(analysis)
    assert outline is not None
    assert validator.validate(outline.content, within=volume.sop_instance_uids) == ()
    lands(outline.content, CENTRE, ball_phantoms.RADIUS_MM, voxel_mm)
    for one in (analysis, analyses.with_segmentation(analysis)):
        content = sr_document.encode(one).content
        assert validator.validate(content) == ()
        assert close(points_of(content, paths), CENTRE, voxel_mm)
    return outline.content


@pytest.mark.parametrize("name", ball_phantoms.ACQUISITIONS)
def test_points_and_frames_lie_on_the_nodule(tmp_path: Path, name: str) -> None:
    acquisition = ball_phantoms.ACQUISITIONS[name]
    paths = ball_phantoms.write(tmp_path, ball_phantoms.ball_series(acquisition, CENTRE))
    analysis, volume = found(paths)
    outline = outline_and_reports_lie_on_the_nodule(analysis, volume, paths, max(acquisition.spacing_mm))
    _same_pixels_as_its_source(outline, paths)
    _same_mask(outline, analysis, volume)


@pytest.mark.parametrize("name", ball_phantoms.TILTED)
def test_findings_of_the_upright_volume_are_put_on_the_tilted_images(tmp_path: Path, name: str) -> None:
    acquisition = ball_phantoms.TILTED[name]
    datasets = ball_phantoms.ball_series(acquisition, CENTRE, side=56)
    paths = ball_phantoms.write(tmp_path, datasets)
    with pytest.raises(GeometryError, match="tilt"):
        read_volume(paths)
    volume = read_volume(paths, tilted=True)
    model = TiltCorrectedModel(cast(Model, Brightness(HU // 2 + 500)))  # halfway between the ball and the brightest of the rest
    (prediction,) = model.predict([volume])
    assert "gantry was tilted" in prediction.notes[0]
    voxel_mm = max(acquisition.spacing_mm)
    analysis = replace(analysed(paths, volume, prediction), heat=model.heat_map(volume, prediction))
    outline = outline_and_reports_lie_on_the_nodule(analysis, volume, paths, voxel_mm)
    _nearly_the_pixels_of_its_source(outline, paths)
    (evidence,) = by_kind.encode_kind(ResultKind.PARAMETRIC_MAP, analysis)
    document = dcmread(io.BytesIO(evidence.content))
    shown = document.pixel_array.reshape(-1, document.Rows, document.Columns)
    points = [ball_phantoms.pixel_positions_mm(place_of(document, frame), *map(np.asarray, np.nonzero(plane > 0.5)))
              for frame, plane in zip(document.PerFrameFunctionalGroupsSequence, shown, strict=True)]  # fmt: skip
    assert np.linalg.norm(np.concatenate(points).mean(axis=0) - CENTRE) <= voxel_mm


def _frames_and_sources(content: bytes, sources: Iterable[Dataset]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield which pixels of each frame are set, and which of the image that it names are bright; each lies in its image's own plane."""
    by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in sources}
    document, frames = read_back(content)
    for frame, pixels in zip(document.PerFrameFunctionalGroupsSequence, frames, strict=True):
        source = by_uid[str(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)]
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == list(source.ImagePositionPatient)
        yield pixels.astype(bool), source.pixel_array == ball_phantoms.BRIGHT


def _nearly_the_pixels_of_its_source(content: bytes, paths: list[Path]) -> None:
    """Each frame differs from the bright pixels of the image that it names by less than a rim of one pixel."""
    for found, truth in _frames_and_sources(content, map(dcmread, paths)):
        assert not (found & ~ndimage.binary_dilation(truth, np.ones((3, 3)))).any()
        assert not (ndimage.binary_erosion(truth, np.ones((3, 3))) & ~found).any()


def _same_pixels_as_its_source(content: bytes, paths: list[Path]) -> None:
    """Each frame shows just the bright pixels of the image that it names, and every image with bright pixels has a frame."""
    sources = [dcmread(path) for path in paths]
    count = 0
    for found, truth in _frames_and_sources(content, sources):
        assert np.array_equal(found, truth)
        count += 1
    assert count == sum((dataset.pixel_array == ball_phantoms.BRIGHT).any() for dataset in sources)


def _same_mask(content: bytes, analysis: Analysis, volume: Volume) -> None:
    """highdicom reads back the mask that went in."""
    read = hd.seg.segread(io.BytesIO(content)).get_volume(combine_segments=True)
    mask = analysis.prediction.findings[0].mask
    assert mask is not None
    whole = expand_mask(mask, volume.hu.shape)  # type: ignore[arg-type]
    assert read.array.sum() == whole.sum()
    points = np.argwhere(read.array).astype(float)
    there = np.array([volume.index(tuple(point)) for point in read.map_indices_to_reference(points)])
    assert np.abs(there - np.round(there)).max() < 0.05
    assert whole[tuple(np.round(there).astype(int).T)].all()


def test_on_images_without_a_common_frame_of_reference_the_point_is_on_the_image(tmp_path: Path) -> None:
    datasets = ball_phantoms.ball_series(ball_phantoms.ACQUISITIONS["oblique"], CENTRE)
    for number, dataset in enumerate(datasets):
        dataset.FrameOfReferenceUID = f"2.25.{900 + number}"
    paths = ball_phantoms.write(tmp_path, datasets)
    analysis, _ = found(paths)
    assert segmentation.encode(analysis) is None
    content = sr_document.encode(analysis).content
    assert not [item for item in walk(dcmread(io.BytesIO(content))) if item.get("ValueType") == "SCOORD3D"]
    assert close(points_of(content, paths), CENTRE, max(ball_phantoms.ACQUISITIONS["oblique"].spacing_mm))


def test_a_nodule_put_into_a_real_series(tmp_path: Path) -> None:
    files = sorted((shared_data() / "ct" / "cptac-C3N-00247-lung3.0-B70f").rglob("*.dcm"))
    datasets = sorted(map(dcmread, files), key=lambda dataset: float(dataset.ImagePositionPatient[2]))[30:60]
    middle, bright = datasets[14], 4095
    centre = tuple(ball_phantoms.pixel_positions_mm(middle, np.array(301.3), np.array(187.6)) + np.array([0, 0, 0.7]))
    for dataset in datasets:
        dataset.PixelData = np.minimum(dataset.pixel_array, bright - 1).tobytes()  # metal aside, nothing is as bright
        ball_phantoms.draw_ball(dataset, centre, bright)
    paths = ball_phantoms.write(tmp_path, datasets)
    analysis, volume = found(paths, bright + int(middle.RescaleIntercept))
    outline = segmentation.encode(analysis)
    assert outline is not None
    assert validator.validate(outline.content) == ()
    lands(outline.content, centre, ball_phantoms.RADIUS_MM, 3.0)
    for one in (analysis, analyses.with_segmentation(analysis)):
        assert close(points_of(sr_document.encode(one).content, paths), centre, 3.0)
    _same_mask(outline.content, analysis, volume)


def test_frames_of_an_enhanced_image(tmp_path: Path) -> None:
    chest = make_chest(8, slices=24, size=96, slice_mm=6.0, diameters_mm=(20.0,))
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(chest).save_as(path, enforce_file_format=True)
    volume = read_volume([path])
    truth = chest.nodules[0]
    index = np.stack(np.meshgrid(*(np.arange(size) for size in volume.hu.shape), indexing="ij"), -1).reshape(-1, 3)
    at = np.array([volume.lps(*one) for one in index])
    mask = (np.linalg.norm(at - truth.position_mm, axis=1) <= truth.diameter_mm / 2).reshape(volume.hu.shape)
    analysis, _ = found([path], -2000)
    nodule = replace(analysis.prediction.findings[0], mask=pack_mask(mask), position_mm=truth.position_mm)
    analysis = replace(analysis, prediction=Prediction(Outcome.FINDINGS, (nodule,)))
    outline = segmentation.encode(analysis)
    assert outline is not None
    lands(outline.content, truth.position_mm, truth.diameter_mm / 2, 6.0)
    document, _ = read_back(outline.content)
    image = dcmread(path)
    for frame in document.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        position = image.PerFrameFunctionalGroupsSequence[source.ReferencedFrameNumber - 1].PlanePositionSequence[0].ImagePositionPatient
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == list(position)
