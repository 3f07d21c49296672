"""The heat map of a volume as a Parametric Map: values and positions are read back."""

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from highdicom.pm.sop import pmread
from pydicom import dcmread

from core.concepts import codes
from core.records import Prediction
from core.states import Outcome
from imaging.masks import pack_heat_map, unpack_heat_map
from models.lung_nodule_ct.model import MEANING
from tests.support import analyses, analyses_with_images
from tests.support.fresh_process import hashes_in_new_process
from tests.workers.encode.pictures.test_reformats import POSES
from workers.encode.analysis import Analysis
from workers.encode.objects import parametric_map
from workers.encode.validate.validator import validate

SHAPE = (24, 40, 56)
SPACING = (2.5, 0.9, 0.7)


def placed(pose: str) -> Analysis:
    """A map of every second slice, third row and third column, with one maximum and an origin beside the grid's corner."""
    volume = analyses_with_images.volume_of(np.zeros(SHAPE, np.int16), SPACING, (12.0, -40.0, 300.0), POSES[pose][0])
    values = np.zeros((12, 13, 18), np.float32)
    values[3:5, 4:9, 5:7] = np.linspace(0.2, 0.9, 20).reshape(2, 5, 2)
    values[9, 6, 10] = 1.0
    heat = pack_heat_map(values, origin=(0.5, 1.0, 1.25), step=(2.0, 3.0, 3.0), meaning="evidence of a test")
    prediction = Prediction(Outcome.NO_FINDING, looked_for="x")
    return replace(analyses.ct(prediction, slices=SHAPE[0]), item=volume, heat=heat)


@pytest.mark.parametrize("pose", POSES)
def test_values_and_positions_are_read_back(pose: str) -> None:
    analysis = placed(pose)
    made, heat, volume = parametric_map.encode(analysis), analysis.heat, analysis.item
    assert made is not None
    assert heat is not None
    read = pmread(io.BytesIO(made.content)).get_volume(apply_real_world_transform=True, allow_missing_positions=True)
    values = unpack_heat_map(heat)
    found = {tuple(read.affine[:3] @ (*index, 1)): float(read.array[tuple(index)]) for index in np.argwhere(read.array)}
    expected = {}
    for k, j, i in zip(*np.nonzero(values), strict=True):
        place = volume.lps(*(o + s * n for o, s, n in zip(heat.origin, heat.step, (k, j, i), strict=True)))  # type: ignore[union-attr]
        expected[place] = float(values[k, j, i])
    assert len(found) == len(expected)
    places, wanted = np.array(list(found)), np.array(list(expected))
    for place, value in zip(wanted, expected.values(), strict=True):
        nearest = int(np.linalg.norm(places - place, axis=1).argmin())
        assert np.linalg.norm(places[nearest] - place) < 1e-3
        assert list(found.values())[nearest] == pytest.approx(value, abs=1e-6)


def test_only_planes_with_evidence_and_no_empty_margin() -> None:
    made = parametric_map.encode(placed("oblique"))
    assert made is not None
    document = dcmread(io.BytesIO(made.content))
    assert document.NumberOfFrames == 3
    assert (document.Rows, document.Columns) == (5, 6)


def test_attributes_of_the_map() -> None:
    made = parametric_map.encode(analyses_with_images.chest())
    assert made is not None
    document = dcmread(io.BytesIO(made.content))
    mapping = document.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    assert (mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.DoubleFloatRealWorldValueLastValueMapped) == (0.0, 1.0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == codes.NO_UNITS.value
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == codes.SALIENCY.value
    assert mapping.LUTExplanation == document.ImageComments == "evidence for a nodule, of 1"
    assert document.FrameOfReferenceUID == analyses.FRAME_OF_REFERENCE
    assert (document.SeriesDescription, document.ContentQualification) == ("AI lung nodules: heat map (research)", "RESEARCH")
    assert (document.ContentDate, document.ContentTime, document.TimezoneOffsetFromUTC) == ("20261120", "103015.250000", "+0100")
    assert str(document.PatientName) == "Müller^Änne"
    named = {item.ReferencedSOPInstanceUID for item in document.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert named <= {image.sop_instance_uid for image in analyses_with_images.chest().source.images}
    assert all(uid.startswith("2.25.1") for uid in named)


def test_a_long_meaning_is_cut_visibly_in_one_place_and_whole_in_another() -> None:
    analysis = analyses_with_images.chest()
    assert analysis.heat is not None
    made = parametric_map.encode(replace(analysis, heat=replace(analysis.heat, meaning=MEANING)))
    assert made is not None
    assert validate(made.content) == ()
    document = dcmread(io.BytesIO(made.content))
    mapping = document.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.LUTExplanation == "how much the first stage takes a voxel for a part of a..."
    assert document.ImageComments == MEANING


def test_planes_refer_to_the_images_they_lie_on_or_between() -> None:
    made = parametric_map.encode(placed("sagittal"))
    assert made is not None
    document = dcmread(io.BytesIO(made.content))
    named = [item.ReferencedSOPInstanceUID for item in document.SourceImageSequence]
    # planes 3, 4 and 9 lie at slices 6.5, 8.5 and 18.5, each two slices thick
    assert set(named) == {f"2.25.{1000 + z}" for z in (6, 7, 8, 9, 18, 19)}


@pytest.mark.parametrize("why", ["no evidence", "empty evidence", "photograph", "no frame of reference", "not read"])
def test_no_map_without_heat_map_or_frame_of_reference(why: str) -> None:
    chest = analyses_with_images.chest()
    cases = {
        "no evidence": replace(chest, heat=None),
        "empty evidence": replace(chest, heat=pack_heat_map(np.zeros((2, 2, 2), np.float32), meaning="m")),
        "photograph": analyses_with_images.lesion(),
        "no frame of reference": replace(chest, frame_of_reference_uid=""),
        "not read": replace(chest, item=None),
    }
    assert parametric_map.encode(cases[why]) is None


def test_same_analysis_gives_the_same_bytes() -> None:
    made = parametric_map.encode(analyses_with_images.chest())
    assert made is not None
    assert [hashlib.sha256(made.content).hexdigest()] == hashes_in_new_process("parametric_map", "chest")


def test_frames_of_a_multi_frame_source_are_referenced() -> None:
    analysis = placed("head first, supine")
    image = replace(analysis.source.images[0], number_of_frames=SHAPE[0])
    uids, numbers = (image.sop_instance_uid,) * SHAPE[0], tuple(range(1, SHAPE[0] + 1))
    volume = replace(analysis.item, sop_instance_uids=uids, frame_numbers=numbers)  # type: ignore[type-var]
    made = parametric_map.encode(replace(analysis, item=volume, source=replace(analysis.source, images=(image,))))
    assert made is not None
    document = dcmread(io.BytesIO(made.content))
    (source,) = document.SourceImageSequence
    assert list(source.ReferencedFrameNumber) == [7, 8, 9, 10, 19, 20]
    (series,) = document.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [image.sop_instance_uid]
    sources = [item.DerivationImageSequence[0].SourceImageSequence[0] for item in document.PerFrameFunctionalGroupsSequence]
    assert sorted(list(item.ReferencedFrameNumber) for item in sources) == [[7, 8], [9, 10], [19, 20]]
    assert validate(made.content, within=[image.sop_instance_uid]) == ()
