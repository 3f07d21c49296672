"""Analyses of every kind of result, with synthetic headers, for tests that encode or validate reports."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from core.concepts import codes, private_codes
from core.policy.admission import WHOLE_SLIDE
from core.records import Evaluation, Finding, Mask, Measurement, ModelIdentity, Prediction
from core.states import Outcome, ResultKind, Tier
from db.jobs.job_records import StoredElsewhere
from imaging.masks import pack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis, RelatedObject
from workers.encode.objects import segmentation
from workers.encode.source_images.source import ImageReference, source_from_dataset

INSTALLATION = UUID("6f1d9e7a-0d7e-4a0e-8a55-3a1a7d1b2c3d")
DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
FRAME_OF_REFERENCE = "2.25.300"
STARTED = datetime(2026, 11, 20, 9, 30, 15, 250000, tzinfo=UTC)
CT_MODEL = ModelIdentity(
    "lung_nodule_ct", "1.0.0", "a1" * 32, "Lung nodules on chest CT", "dicom-node", "research", "Not for excluding cancer or any disease."
)
SKIN_MODEL = ModelIdentity(
    "dermoscopy_7class", "1.0.0", "b2" * 32, "Dermoscopy, seven classes", "dicom-node", "research", "Not for deciding against a biopsy."
)

# Result objects of an older answer that a destination has stored.
OUTDATED = (
    StoredElsewhere("pacs", "seg", "1.2.840.10008.5.1.4.1.1.66.4", "2.25.71", "2.25.70"),
    StoredElsewhere("pacs", "pdf", "1.2.840.10008.5.1.4.1.1.104.1", "2.25.73", "2.25.72"),
    StoredElsewhere("pacs", "seg", "1.2.840.10008.5.1.4.1.1.66.4", "2.25.74", "2.25.70"),
)


def header(modality: str, **elements: object) -> Dataset:
    """Return the header of an image as a PACS sends it."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.100", "2.25.200"
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = "Müller^Änne", "P-77", "HOSPITAL"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19500102", "F", "076Y"
    dataset.AccessionNumber, dataset.StudyID, dataset.StudyDescription = "ACC-1", "S1", "Untersuchung für Ärzte"
    dataset.StudyDate, dataset.StudyTime = "20261119", "143000"
    dataset.ReferringPhysicianName = "Größe^Jörg"
    dataset.Modality = modality
    dataset.TimezoneOffsetFromUTC = "+0100"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def request(**elements: object) -> Dataset:
    """Return an item of the Request Attributes Sequence."""
    item = Dataset()
    item.RequestedProcedureID, item.RequestedProcedureDescription = "RP-5", "CT Thorax"
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def ct(
    prediction: Prediction, *, frame_of_reference: str = FRAME_OF_REFERENCE, slices: int = 12, dataset: Dataset | None = None
) -> Analysis:
    """Return an analysis of a CT series."""
    images = tuple(  # numbered from the head down, as most scanners do
        ImageReference(str(CTImageStorage), f"2.25.{1000 + index}", 512, 512, number=slices - index) for index in range(slices)
    )
    source = source_from_dataset(dataset or header("CT", RequestAttributesSequence=[request()]), images)
    return Analysis(
        installation=INSTALLATION,
        key="c3" * 32,
        revision=1,
        run=1,
        identity=CT_MODEL,
        prediction=prediction,
        source=source,
        started_at=STARTED,
        frame_of_reference_uid=frame_of_reference,
        limits=("Trained on synthetic nodules in one series.",),
    )


def skin(prediction: Prediction, *, dataset: Dataset | None = None) -> Analysis:
    """Return an analysis of a dermoscopic photograph."""
    images = (ImageReference(DERMOSCOPIC, "2.25.2000", 450, 600),)
    source = source_from_dataset(dataset or header("DMS"), images)
    analysis = ct(prediction, frame_of_reference="")
    advice = {"mel": "Urgent specialist assessment is advised."}
    return replace(analysis, source=source, identity=SKIN_MODEL, limits=("Trained on one public data set.",), advice=advice)


def nodule(number: int = 0) -> Finding:
    """Return a nodule; each number has another place."""
    return Finding(
        label="nodule",
        code=codes.NODULE,
        score=0.91 - number / 10,
        tier=Tier.REVIEW,
        position_mm=(-61.25 + number, 12.5, -140.0),
        diameter_mm=7.26,
        sop_instance_uid=f"2.25.{1003 + number}",
        frame=1,
        image_point=(210.0, 300.5),
        measurements=(Measurement(codes.VOLUME, 200.4321, codes.CUBIC_MILLIMETER),),
        site=codes.LUNG,
        zone=codes.UPPER_ZONE,
        side=codes.RIGHT,
        evaluations=(Evaluation(private_codes.LUNG_RADS, private_codes.LUNG_RADS_PAIRS[0]),),
    )


def melanoma() -> Finding:
    """Return a finding on a photograph."""
    return Finding("mel", codes.MELANOMA, probability=0.8123456, tier=Tier.REVIEW, sop_instance_uid="2.25.2000", site=codes.SKIN)


def specimen(identifier: str = "S26-1-A-1", uid: str = "2.25.4711") -> Dataset:
    """Return an item of Specimen Description Sequence."""
    item, kind = Dataset(), Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "119376003", "SCT", "Tissue specimen"
    item.SpecimenIdentifier, item.SpecimenUID, item.SpecimenTypeCodeSequence = identifier, uid, [kind]
    item.IssuerOfTheSpecimenIdentifierSequence = []
    item.SpecimenPreparationSequence = []
    return item


def slide(prediction: Prediction, **elements: object) -> Analysis:
    """Return an analysis of a whole slide of two levels. ``elements``: of the header of its images."""
    described = {"ContainerIdentifier": "SLIDE-9", "SpecimenDescriptionSequence": [specimen()]}
    images = tuple(ImageReference(WHOLE_SLIDE, f"2.25.{3000 + number}", 256, 256, 48, number) for number in (1, 2))
    return replace(skin(prediction), source=source_from_dataset(header("SM", **described | elements), images))


def tile_of_slide() -> Finding:
    """Return a finding in the finer level of a slide, with its place in the Total Pixel Matrix."""
    return Finding("tumour", codes.LESION, score=0.93, tier=Tier.REVIEW, sop_instance_uid="2.25.3001", image_point=(40112.0, 20336.0))


LOOKED_FOR = "Solid nodules of 5 to 30 mm at 1 false positive per series (score 0.4)."
CLASSES = dict(zip(codes.DERMOSCOPY, (0.05, 0.05, 0.03, 0.01, 0.81, 0.04, 0.01), strict=True))


def volume(slices: int = 12, side: int = 64) -> Volume:
    """Return a volume for `ct`: slices 2 mm apart, from the feet to the head, the first one 2.25.1000."""
    affine = np.diag([0.7, 0.7, 2.0, 1.0])
    affine[:3, 3] = (-80.0, -10.0, -150.0)
    uids = tuple(f"2.25.{1000 + index}" for index in range(slices))
    hu = np.zeros((slices, side, side), np.int16)
    return Volume(hu, affine, (2.0, 0.7, 0.7), uids, (1,) * slices, FRAME_OF_REFERENCE, ())


def photograph(rows: int = 450, columns: int = 600) -> Photograph:
    """Return a black photograph."""
    return Photograph(np.zeros((rows, columns, 3), np.uint8), "2.25.2000", 76.0, "F", "", None, ())


def box(shape: tuple[int, int, int], *edges: tuple[int, int]) -> Mask:
    """Return a mask that is set between the edges along z, y and x."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*edge) for edge in edges)] = True
    packed = pack_mask(mask)
    assert packed is not None
    return packed


def with_segmentation(analysis: Analysis) -> Analysis:
    """Return the analysis for a destination that receives segmentations."""
    made = segmentation.encode(analysis)
    assert made is not None
    names = (made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid)
    return replace(
        analysis, related_objects=(*analysis.related_objects, RelatedObject(made.kind, *names, segmentation.segment_numbers(analysis)))
    )


def masked_ct() -> Analysis:
    """Return two nodules with masks that have no slice in common."""
    item = volume()
    edges = (((2, 5), (10, 20), (30, 36)), ((8, 9), (40, 44), (5, 9)))
    findings = []
    for number, spans in enumerate(edges):
        z, y, x = ((first + last - 1) / 2 for first, last in spans)
        uid = item.sop_instance_uids[round(z)]
        place = {"position_mm": item.lps(z, y, x), "sop_instance_uid": uid, "image_point": (x + 0.5, y + 0.5)}
        findings.append(replace(nodule(number), mask=box(item.hu.shape, *spans), **place))
    return replace(ct(Prediction(Outcome.FINDINGS, tuple(findings), looked_for=LOOKED_FOR)), item=item)


def masked_skin() -> Analysis:
    """Return a photograph with a masked lesion."""
    item = photograph()
    finding = replace(melanoma(), mask=box((1, 450, 600), (0, 1), (100, 220), (200, 400)))
    left = Dataset()
    left.CodeValue, left.CodingSchemeDesignator, left.CodeMeaning = "7771000", "SCT", "Left"
    site = Dataset()
    site.CodeValue, site.CodingSchemeDesignator, site.CodeMeaning = "371304004", "SCT", "Skin of lower extremity"
    site.AnatomicRegionModifierSequence = [left]
    dataset = header("DMS", AnatomicRegionSequence=[site], BodyPartExamined="LEG", ImageLaterality="L")
    return replace(skin(Prediction(Outcome.FINDINGS, (finding,), CLASSES), dataset=dataset), item=item)


OTHERS = (
    RelatedObject(ResultKind.HEATMAP, "1.2.840.10008.5.1.4.1.1.7", "2.25.5001", "2.25.6001"),
    RelatedObject(ResultKind.KEY_IMAGES, "1.2.840.10008.5.1.4.1.1.88.59", "2.25.5002", "2.25.6002"),
    RelatedObject(ResultKind.PDF, "1.2.840.10008.5.1.4.1.1.104.1", "2.25.5003", "2.25.6003"),
)


@cache
def shapes() -> Mapping[str, Analysis]:
    """Return an analysis for every kind of report; the same ones each time, which no test changes."""
    findings = Prediction(Outcome.FINDINGS, (nodule(), nodule(1)), looked_for=LOOKED_FOR, notes=("1 localizer was left out.",))
    return {
        "ct-findings": ct(findings),
        "ct-findings-2d": ct(findings, frame_of_reference=""),
        "ct-no-finding": ct(Prediction(Outcome.NO_FINDING, looked_for=LOOKED_FOR)),
        "ct-not-analysed": ct(Prediction(Outcome.NOT_ANALYSED, reason="The slices have a gap of 6 mm.")),
        "skin-findings": skin(Prediction(Outcome.FINDINGS, (melanoma(),), CLASSES)),
        "slide-findings": slide(Prediction(Outcome.FINDINGS, (tile_of_slide(),), looked_for="Tumour.")),
        "ct-segmented": with_segmentation(masked_ct()),
        "skin-segmented": with_segmentation(replace(masked_skin(), related_objects=OTHERS)),
        "skin-abstained": skin(Prediction(Outcome.ABSTAINED, (), CLASSES, reason="The image is unlike those it was trained on.")),
    }


def walk(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a content item, and every item below it."""
    yield dataset
    for item in dataset.get("ContentSequence", ()):
        yield from walk(item)
