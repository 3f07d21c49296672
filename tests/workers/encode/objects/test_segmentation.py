"""The segmentation: attributes of each finding, masks read back, and the same bytes for the same analysis."""

import io
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes
from core.records import Finding, Mask, Prediction, UnitInput
from core.states import Outcome
from deploy.demo.synthetic.lesion import lesion_dataset
from imaging.masks import expand_mask, pack_mask
from imaging.photograph.header import DERMOSCOPIC_PHOTOGRAPHY, VL_PHOTOGRAPHIC
from imaging.photograph.read import read_photograph
from tests.support import analyses
from tests.support.external_programs import dciodvfy
from workers.encode.analysis import Analysis
from workers.encode.objects import segmentation
from workers.encode.pictures.colours import OUTLINE, SEGMENTS
from workers.encode.source_images.source import read_source
from workers.encode.sr import document as sr_document
from workers.encode.validate.validator import validate


def content(analysis: Analysis) -> bytes:
    made = segmentation.encode(analysis)
    assert made is not None
    return made.content


def document(analysis: Analysis) -> Dataset:
    return dcmread(io.BytesIO(content(analysis)))


def errors_of(folder: Path, made: bytes) -> list[str]:
    path = folder / "seg.dcm"
    path.write_bytes(made)
    lines = dciodvfy(path)
    assert "Segmentation" in lines
    return [line for line in lines if line.startswith("Error")]


def overlapping() -> Analysis:
    """Two findings that share voxels."""
    analysis = analyses.masked_ct()
    first, second = analysis.prediction.findings
    shape = analyses.volume().hu.shape
    again = replace(second, mask=analyses.box(shape, (3, 6), (15, 25), (33, 40)))
    return replace(analysis, prediction=replace(analysis.prediction, findings=(first, again)))


CASES = {"ct": analyses.masked_ct, "skin": analyses.masked_skin, "overlapping": overlapping}


@pytest.mark.parametrize("name", CASES)
def test_segmentation_is_valid_and_reproducible(tmp_path: Path, name: str) -> None:
    analysis = CASES[name]()
    made = content(analysis)
    assert made == content(analysis)
    assert validate(made, within=[image.sop_instance_uid for image in analysis.source.images]) == ()
    assert errors_of(tmp_path, made) == []


@pytest.mark.parametrize("name", CASES)
def test_highdicom_reads_the_masks_that_went_in(name: str) -> None:
    analysis = CASES[name]()
    read = hd.seg.segread(io.BytesIO(content(analysis)))
    assert list(read.segment_numbers) == list(segmentation.segment_numbers(analysis).values())
    frames = read.pixel_array.reshape(-1, read.Rows, read.Columns)
    shape = (1, 450, 600) if name == "skin" else analyses.volume().hu.shape
    places = {uid: z for z, uid in enumerate(image.sop_instance_uid for image in analysis.source.images)}
    found = {number: np.zeros(shape, bool) for number in read.segment_numbers}
    shared = read.SharedFunctionalGroupsSequence[0]
    for group, pixels in zip(read.PerFrameFunctionalGroupsSequence, frames, strict=True):
        named = (group if "SegmentIdentificationSequence" in group else shared).SegmentIdentificationSequence[0]
        uid = str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        assert pixels.any()
        found[named.ReferencedSegmentNumber][places[uid]] |= pixels.astype(bool)
    for number, segment in segmentation.segment_numbers(analysis).items():
        mask = analysis.prediction.findings[number - 1].mask
        assert mask is not None
        assert np.array_equal(found[segment], expand_mask(mask, shape))  # type: ignore[arg-type]
    assert read.SegmentsOverlap == ("YES" if name == "overlapping" else "NO")


def test_segments_have_codes_algorithm_and_tracking_of_their_findings() -> None:
    analysis = analyses.with_segmentation(analyses.masked_ct())
    report = dcmread(io.BytesIO(sr_document.encode(analysis).content))
    tracked: list[str] = []
    for element in report.iterall():
        if element.keyword == "UID" and str(element.value) not in tracked:
            tracked.append(str(element.value))
    for number, segment in enumerate(document(analysis).SegmentSequence, 1):
        assert (segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType) == (number, f"nodule {number}", "AUTOMATIC")
        assert (segment.TrackingID, segment.TrackingUID in tracked) == (f"lung_nodule_ct {number}", True)
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == codes.ABNORMAL_STRUCTURE.value
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == codes.NODULE.value
        assert segment.AnatomicRegionSequence[0].CodeValue == codes.LUNG.value
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung_nodule_ct", "1.0.0")
        assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == codes.ARTIFICIAL_INTELLIGENCE.value
        assert "a1" * 32 in algorithm.AlgorithmParameters


def test_segments_have_colours_of_their_own_and_the_first_that_of_the_outlines_in_pictures() -> None:
    segments = document(analyses.masked_ct()).SegmentSequence
    colours = [hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb() for segment in segments]
    assert colours == [OUTLINE, SEGMENTS[1]]
    assert len(set(SEGMENTS)) == len(SEGMENTS)


def test_long_labels_keep_the_number_of_the_finding() -> None:
    analysis = analyses.masked_ct()
    findings = tuple(replace(finding, label="l" * 70) for finding in analysis.prediction.findings)
    segments = document(replace(analysis, prediction=replace(analysis.prediction, findings=findings))).SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == ["l" * 62 + " 1", "l" * 62 + " 2"]


def test_the_report_names_the_segment_of_each_finding() -> None:
    analysis = analyses.with_segmentation(analyses.masked_ct())
    made = document(analysis)
    report = dcmread(io.BytesIO(sr_document.encode(analysis).content))
    named = [
        element.value[0].ReferencedSegmentNumber
        for element in report.iterall()
        if element.keyword == "ReferencedSOPSequence" and "ReferencedSegmentNumber" in element.value[0]
    ]
    assert named == [1, 2]
    listed = {str(element.value) for element in report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[1]
              .ReferencedSOPSequence[0] if element.keyword == "ReferencedSOPInstanceUID"}  # fmt: skip
    assert listed == {made.SOPInstanceUID}
    alone = dcmread(io.BytesIO(sr_document.encode(analyses.masked_ct()).content))
    assert made.SOPInstanceUID not in {str(element.value) for element in alone.iterall()}


def test_series_equipment_and_times() -> None:
    made = document(analyses.masked_ct())
    assert made.SeriesDescription == made.ContentDescription == "AI lung nodules: segmentation (research)"
    assert made.SeriesDescriptionCodeSequence[0].CodeValue == codes.SEGMENTATION.value
    assert (made.ContentDate, made.ContentTime, made.TimezoneOffsetFromUTC) == ("20261120", "103015.250000", "+0100")
    (equipment,) = made.ContributingEquipmentSequence
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("lung_nodule_ct", "1.0.0")
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == codes.PROCESSING_EQUIPMENT.value
    other = replace(analyses.CT_MODEL, digest="e5" * 32)
    assert document(replace(analyses.masked_ct(), identity=other)).ContributingEquipmentSequence[0].DeviceUID != equipment.DeviceUID
    assert made.FrameOfReferenceUID == analyses.FRAME_OF_REFERENCE
    assert str(made.PatientName) == "Müller^Änne"


def test_segmentation_of_a_photograph_has_its_plane_site_and_side() -> None:
    made = document(analyses.masked_skin())
    assert (made.Rows, made.Columns, made.NumberOfFrames) == (450, 600, 1)
    assert "FrameOfReferenceUID" not in made
    assert (made.BodyPartExamined, made.PatientOrientation) == ("LEG", "")
    (segment,) = made.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == codes.LESION.value  # the outline is no diagnosis
    (site,) = segment.AnatomicRegionSequence
    assert (site.CodeMeaning, site.AnatomicRegionModifierSequence[0].CodeMeaning) == ("Skin of lower extremity", "Left")
    (source,) = made.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.SpatialLocationsPreserved) == ("2.25.2000", "YES")


@pytest.mark.parametrize("sop_class", [DERMOSCOPIC_PHOTOGRAPHY, VL_PHOTOGRAPHIC])
def test_every_kind_of_photograph_is_segmented(tmp_path: Path, sop_class: str) -> None:
    dataset = lesion_dataset(1, size=(150, 200))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio, dataset.LossyImageCompressionMethod = "01", "10", "ISO_10918_1"
    path = tmp_path / "lesion.dcm"
    dataset.save_as(path, enforce_file_format=True)
    item = read_photograph(path)
    finding = Finding("nv", codes.MELANOCYTIC_NEVUS, 0.9, sop_instance_uid=item.sop_instance_uid, site=codes.SKIN,
                      mask=pack_mask((item.rgb.mean(axis=2) < item.rgb.mean())[None]))  # fmt: skip
    source = read_source([UnitInput(item.sop_instance_uid, sop_class, "", str(path))], referenced=[item.sop_instance_uid])
    analysis = replace(analyses.skin(Prediction(Outcome.FINDINGS, (finding,), analyses.CLASSES)), source=source, item=item)
    made = content(analysis)
    assert validate(made, within=[item.sop_instance_uid]) == ()
    assert errors_of(tmp_path, made) == []
    read = dcmread(io.BytesIO(made))
    assert (read.LossyImageCompression, read.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert np.array_equal(read.pixel_array.astype(bool), item.rgb.mean(axis=2) < item.rgb.mean())


def test_no_segmentation_without_masks_or_frame_of_reference() -> None:
    assert segmentation.encode(analyses.shapes()["ct-findings"]) is None
    assert segmentation.encode(replace(analyses.shapes()["ct-findings"], item=analyses.volume())) is None
    assert segmentation.encode(replace(analyses.masked_ct(), frame_of_reference_uid="")) is None
    empty = replace(analyses.masked_ct().prediction.findings[0], mask=Mask((0, 0, 0), (1, 1, 8), b"\0"))
    assert segmentation.encode(replace(analyses.masked_ct(), prediction=Prediction(Outcome.FINDINGS, (empty,)))) is None


def test_findings_without_mask_have_no_segment() -> None:
    analysis = analyses.masked_ct()
    first, second = analysis.prediction.findings
    analysis = replace(analysis, prediction=replace(analysis.prediction, findings=(replace(first, mask=None), second)))
    assert segmentation.segment_numbers(analysis) == {2: 1}
    (segment,) = document(analysis).SegmentSequence
    assert (segment.SegmentNumber, segment.TrackingID) == (1, "lung_nodule_ct 2")


def test_a_mask_beyond_the_grid_is_an_error() -> None:
    analysis = analyses.masked_ct()
    outside = replace(analysis.prediction.findings[0], mask=Mask((11, 0, 0), (2, 1, 4), b"\xff"))
    with pytest.raises(ValueError, match="does not fit"):
        segmentation.encode(replace(analysis, prediction=Prediction(Outcome.FINDINGS, (outside,))))
