"""The validator on the objects beside the report: one seeded fault for each case, and none in undamaged objects."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.iods import IODS
from core.records import ResultObject
from core.states import ResultKind
from imaging.volume.volume import Volume
from tests.support import analyses, analyses_with_images, assessments
from workers.encode.analysis import Analysis
from workers.encode.objects import by_kind
from workers.encode.sr import document as sr_document
from workers.encode.validate.validator import validate

CASES: dict[str, Callable[[], Analysis]] = {
    "ct": analyses.masked_ct,
    "skin": analyses.masked_skin,
    "chest": analyses_with_images.chest,
    "nothing": lambda: analyses.shapes()["ct-no-finding"],
    "declined": lambda: analyses.shapes()["ct-not-analysed"],
}


@cache
def made(name: str) -> tuple[tuple[ResultObject, ...], tuple[str, ...]]:
    """All objects of an analysis, the report last, and the instances of its unit."""
    analysis = CASES[name]()
    found = [one for kind in by_kind.ENCODERS for one in by_kind.encode_kind(kind, analysis)]
    unit = tuple(image.sop_instance_uid for image in analysis.source.images)
    return (*found, sr_document.encode(analysis)), unit


@pytest.mark.parametrize("name", CASES)
def test_every_object_passes(name: str) -> None:
    found, unit = made(name)
    assert {one.kind: validate(one.content, within=unit) for one in found} == {one.kind: () for one in found}


def named_by(analysis: Analysis, change: Callable[[str], str]) -> Analysis:
    """The analysis of a unit whose study, series, images and frame of reference have other UIDs."""
    images = tuple(replace(image, sop_instance_uid=change(image.sop_instance_uid)) for image in analysis.source.images)
    found = tuple(replace(finding, sop_instance_uid=change(finding.sop_instance_uid)) for finding in analysis.prediction.findings)
    item = analysis.item
    assert isinstance(item, Volume)
    study, series = change(analysis.source.study_instance_uid), change(analysis.source.series_instance_uid)
    return replace(
        analysis,
        source=replace(analysis.source, images=images, study_instance_uid=study, series_instance_uid=series),
        prediction=replace(analysis.prediction, findings=found),
        item=replace(item, sop_instance_uids=tuple(map(change, item.sop_instance_uids))),
        frame_of_reference_uid=change(analysis.frame_of_reference_uid),
    )


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")
def test_the_uids_of_a_source_pass_with_leading_zeros_and_other_text_in_their_place_does_not() -> None:
    for name in ("ct", "chest"):
        analysis = named_by(CASES[name](), lambda uid: uid.replace("2.25.", "1.2.0840.01."))
        analysis = analyses.with_segmentation(analysis)
        found = [one for kind in by_kind.ENCODERS for one in by_kind.encode_kind(kind, analysis)]
        for one in (*found, sr_document.encode(analysis)):
            assert validate(one.content) == (), one.kind
            assert b"1.2.0840.01." in one.content
    hostile = named_by(analyses.masked_ct(), lambda uid: uid.replace("2.25.", "../"))
    assert "StudyInstanceUID is not a valid UID" in validate(sr_document.encode(hostile).content)


def test_every_kind_is_encoded_and_has_an_iod() -> None:
    kinds = {one.kind for name in CASES for one in made(name)[0]}
    assert kinds == set(ResultKind) - {ResultKind.REJECTION, ResultKind.ASSESSMENT} == {iod.kind for iod in IODS.values()}
    classes = {one.sop_class_uid: one.kind for name in CASES for one in made(name)[0]}
    assert classes == {uid: iod.kind for uid, iod in IODS.items()}


def first(name: str, kind: ResultKind) -> bytes:
    if kind is ResultKind.ASSESSMENT:
        return assessments.on_ct().content
    return next(one.content for one in made(name)[0] if one.kind is kind)


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda document: delattr(document, keyword)


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda document: setattr(document, keyword, value)


def in_segment(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda document: setattr(document.SegmentSequence[-1], keyword, value)


def same_tracking(document: Dataset) -> None:
    document.SegmentSequence[1].TrackingUID = document.SegmentSequence[0].TrackingUID


def other_segment(document: Dataset) -> None:
    for frame in document.PerFrameFunctionalGroupsSequence:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1


def unlisted(document: Dataset) -> None:
    document.ReferencedSeriesSequence[0].ReferencedInstanceSequence = document.ReferencedSeriesSequence[0].ReferencedInstanceSequence[1:]


def unknown_code(document: Dataset) -> None:
    document.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "0815"


FAULTS: list[tuple[str, ResultKind, Callable[[Dataset], None], str]] = [
    ("ct", ResultKind.SEG, drop("PixelData"), "PixelData (type 1) is missing"),
    ("ct", ResultKind.SEG, drop("ContentCreatorName"), "ContentCreatorName (type 2) is missing"),
    ("ct", ResultKind.SEG, put("PixelData", b"\0\0"), "bytes of pixels expected"),
    ("ct", ResultKind.SEG, put("NumberOfFrames", 9), "9 frames, and"),
    ("ct", ResultKind.SEG, put("SegmentationType", "FRACTIONAL"), "SegmentationType is not BINARY"),
    ("ct", ResultKind.SEG, in_segment("SegmentAlgorithmType", "MANUAL"), "not of type AUTOMATIC"),
    ("ct", ResultKind.SEG, in_segment("TrackingID", ""), "a segment has no TrackingID"),
    ("ct", ResultKind.SEG, in_segment("SegmentNumber", 7), "not numbered from 1"),
    ("ct", ResultKind.SEG, same_tracking, "same tracking UID"),
    ("ct", ResultKind.SEG, other_segment, "other segments than are described"),
    ("ct", ResultKind.SEG, unlisted, "source image that the object does not list"),
    ("ct", ResultKind.SEG, lambda d: d.PerFrameFunctionalGroupsSequence[0].__delitem__("PlanePositionSequence"), "frame 1 has no position"),
    ("ct", ResultKind.SEG, lambda d: d.PerFrameFunctionalGroupsSequence[0].__delitem__("DerivationImageSequence"), "names no source image"),
    ("ct", ResultKind.SEG, unknown_code, "is not known"),
    ("ct", ResultKind.SEG, drop("ContributingEquipmentSequence"), "ContributingEquipmentSequence (type 1) is missing"),
    ("ct", ResultKind.SEG, lambda d: d.ContributingEquipmentSequence[0].__delitem__("DeviceUID"), "DeviceUID of the contributing"),
    ("ct", ResultKind.SEG, put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"), "of no kind of object"),
    ("ct", ResultKind.HEATMAP, drop("ConversionType"), "ConversionType (type 1) is missing"),
    ("ct", ResultKind.HEATMAP, put("Rows", 3), "bytes of pixels expected"),
    ("chest", ResultKind.PARAMETRIC_MAP, put("NumberOfFrames", 1), "1 frames, and"),
    ("ct", ResultKind.KEY_IMAGES, drop("ContentSequence"), "ContentSequence (type 1) is missing"),
    ("ct", ResultKind.PDF, put("EncapsulatedDocument", b"<html>"), "is not a PDF"),
    ("ct", ResultKind.PDF, put("MIMETypeOfEncapsulatedDocument", "text/html"), "is not application/pdf"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "kind", "damage", "expected"), FAULTS)
def test_seeded_fault_is_found(name: str, kind: ResultKind, damage: Callable[[Dataset], None], expected: str) -> None:
    document = dcmread(io.BytesIO(first(name, kind)))
    damage(document)
    buffer = io.BytesIO()
    document.save_as(buffer)
    found = validate(buffer.getvalue())
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize("kind", [kind for kind in ResultKind if kind is not ResultKind.REJECTION])
def test_a_reference_to_a_foreign_instance_is_found(kind: ResultKind) -> None:
    name = "chest" if kind is ResultKind.PARAMETRIC_MAP else "ct"
    (problem,) = validate(first(name, kind), within=["2.25.1"])
    assert "neither of the unit nor of this result" in problem
