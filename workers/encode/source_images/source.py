"""What a result takes over from the images of its unit: patient, study, request, and references to the images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from core.errors import EncodingError
from core.iods import TYPE_2
from core.records import UnitInput
from core.time_zone import OFFSET
from imaging.headers.instance_header import read_header
from imaging.headers.unreadable_elements import drop_unreadable_elements
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_dataset
from imaging.wire.tolerant_values import TolerantReader
from workers.encode.anatomy import Anatomy, read_anatomy
from workers.encode.local_time import parse_local_time
from workers.encode.source_images.attributes import INSTITUTION, PATIENT, STUDY, copy_element, copy_specimen
from workers.encode.source_images.compression import read_lossy_compression, stated_compression
from workers.encode.source_images.requests import read_requests


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One instance of the unit. ``number``: Instance Number, which viewers show."""

    sop_class_uid: str
    sop_instance_uid: str
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    number: int | None = None


@dataclass(frozen=True, slots=True)
class ResultSource:
    """What is taken over into a result.

    Attributes
    ----------
    attributes
        Patient and study elements, clean and decoded.
    requests
        Items of Referenced Request Sequence (PS3.3 C.17.2).
    images
        All instances of the unit.
    dropped
        Keywords of values that are left out because no valid object may hold them.
    burned_in, recognizable
        Burned In Annotation, and Recognizable Visual Features: "YES", "NO", or "" if the header does not say.
    lossy
        How an analysed image was compressed with loss; empty if none was.
    specimen
        The Specimen module of an image of a slide; empty for other images.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    attributes: Dataset
    requests: tuple[Dataset, ...]
    images: tuple[ImageReference, ...]
    character_set: tuple[str, ...] = ()
    time_zone: str = ""
    dropped: tuple[str, ...] = ()
    anatomy: Anatomy = field(default_factory=Anatomy)
    burned_in: str = ""
    recognizable: str = ""
    lossy: Dataset = field(default_factory=Dataset)
    specimen: Dataset = field(default_factory=Dataset)

    @property
    def study_time(self) -> datetime | None:
        """Study Date and Time, without zone; None without a date."""
        return parse_local_time(*(str(self.attributes.get(keyword) or "") for keyword in ("StudyDate", "StudyTime")))

    def image(self, sop_instance_uid: str) -> ImageReference:
        """The instance with that UID. Raises `EncodingError` if the unit has none."""
        for image in self.images:
            if image.sop_instance_uid == sop_instance_uid:
                return image
        raise EncodingError("a finding refers to an image outside of the unit", hint="this is a defect of the model's code")

    def image_name(self, sop_instance_uid: str, frame: int | None) -> str:
        """The name by which viewers call an image: its Instance Number, or the number of its frame; "" if it is not known."""
        image = next((image for image in self.images if image.sop_instance_uid == sop_instance_uid), None)
        if image is None or (image.number_of_frames == 1 and image.number is None):
            return ""
        return f"image {image.number}" if image.number_of_frames == 1 else f"frame {frame}"


def read_source(inputs: Sequence[UnitInput], *, referenced: Iterable[str] = (), analysed: Iterable[str] = ()) -> ResultSource:
    """The source of a unit: attributes of the first image with a finding, else of the first one analysed; references to all.

    The first instance of the unit may be a screen capture or localizer in the series, with a body part and request of its own.

    ``referenced``: SOP Instance UIDs of images with findings. Only of these are number, rows and columns read.
    ``analysed``: those of the images that the model was given. If one of them was compressed with loss, the source states it.

    Raises
    ------
    EncodingError
        The unit has no instance.
    CannotUnderstand
        The instance with the attributes cannot be parsed.
    """
    if not inputs:
        raise EncodingError("a unit without instances has no report")
    with_findings = set(referenced)
    images = []
    for entry in inputs:
        image = ImageReference(entry.sop_class_uid, entry.sop_instance_uid)
        if entry.sop_instance_uid in with_findings:
            header = read_header(Path(entry.path))
            image = replace(image, rows=header.rows, columns=header.columns, number_of_frames=header.number_of_frames)
            image = replace(image, number=header.instance_number)
        images.append(image)
    asked = set(analysed)
    preferred = (entry for wanted in (with_findings, asked) for entry in inputs if entry.sop_instance_uid in wanted)
    first = next(preferred, inputs[0])
    source = source_from_dataset(read_dataset(Path(first.path)), tuple(images))
    if source.lossy:
        return source
    asked.add(first.sop_instance_uid)
    compressed = (read_lossy_compression(Path(entry.path)) for entry in inputs if entry.sop_instance_uid in asked)
    return replace(source, lossy=next((lossy for lossy in compressed if lossy), source.lossy))


def source_from_dataset(dataset: Dataset, images: tuple[ImageReference, ...]) -> ResultSource:
    """The source with the attributes of a parsed data set. Unreadable elements are removed from the data set."""
    notes: list[str] = []
    dropped: list[str] = []
    with warnings_as_notes(notes):
        drop_unreadable_elements(dataset, notes)
        read = TolerantReader(dataset, notes)
        attributes = Dataset()
        for keyword in (*PATIENT, *STUDY, *INSTITUTION):
            copy_element(dataset, keyword, attributes, dropped)
        for keyword in TYPE_2:
            if keyword not in attributes:
                setattr(attributes, keyword, "")
        time_zone = read.text("TimezoneOffsetFromUTC")
        requests = read_requests(dataset, read, dropped)
        lossy = stated_compression(dataset, dropped)
        specimen = copy_specimen(dataset, dropped)
        return ResultSource(
            study_instance_uid=read.text("StudyInstanceUID"),
            series_instance_uid=read.text("SeriesInstanceUID"),
            modality=read.text("Modality"),
            attributes=attributes,
            requests=requests,
            images=images,
            character_set=tuple(text for text in read.texts("SpecificCharacterSet")),
            dropped=tuple(dict.fromkeys(dropped)),
            time_zone=time_zone if OFFSET.fullmatch(time_zone) else "",
            anatomy=read_anatomy(dataset),
            burned_in=read.text("BurnedInAnnotation").upper(),
            recognizable=read.text("RecognizableVisualFeatures").upper(),
            lossy=lossy,
            specimen=specimen,
        )
