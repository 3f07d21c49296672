"""Tolerant reading of headers (PS3.5, PS3.10). Pixel data are never read into memory here unless asked for.

What is wrong and can be read all the same goes into ``InstanceHeader.tolerated``; what cannot be read raises
`CannotUnderstand`, and nothing else does.
"""

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset as parse_dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from core.errors import CannotUnderstand
from core.records import InstanceHeader, Lps
from imaging.values import MAX_UID, Reader, clean, note, tolerating

RouteValue = str | float | tuple[str, ...] | tuple[float, ...]

MAX_INFLATED_BYTES = 512 << 20
_FIRST_INFLATED_BYTES = 4 << 20  # a header alone: nobody needs to inflate the pixels for it
_DEFER_BYTES = 64 << 10  # longer values of other elements (documents, waveforms) stay in the file
_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_NUMBER_VRS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV"})
_OPAQUE_VRS = frozenset({"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW", "AT"})
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_FLATTENED = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "FrameAnatomySequence": ("FrameLaterality",),
}


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the pixel data element lies in a file: its value starts at ``offset``; ``length`` is None if undefined."""

    tag: int
    vr: str
    offset: int
    length: int | None

    @property
    def end(self) -> int:
        """Where a value of declared length ends; of undefined length, where it starts."""
        return self.offset + (self.length or 0)

    def read(self, stream: BinaryIO) -> bytes:
        """The value's bytes; of undefined length, to the end of the file (the sequence delimiter ends it inside)."""
        stream.seek(self.offset)
        return stream.read() if self.length is None else stream.read(self.length)


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """Whatever a parser throws on a hostile file is one thing to the sender: cannot understand."""
    try:
        yield
    except CannotUnderstand:
        raise
    except RecursionError as error:
        raise CannotUnderstand(f"{what}: sequences are nested too deep", hint="the file is broken or hostile") from error
    except MemoryError as error:
        raise CannotUnderstand(f"{what}: an element claims more bytes than there are", hint="the file is broken or hostile") from error
    except Exception as error:
        raise CannotUnderstand(f"{what}: {type(error).__name__} while parsing", hint="send it as DICOM Part 10") from error


def read_dataset(source: Path | BinaryIO, *, pixels: bool = False, max_inflated_bytes: int = MAX_INFLATED_BYTES) -> Dataset:
    """Parse a file or stream, tolerantly.

    Parameters
    ----------
    source
        A path, or a seekable binary stream at its start.
    pixels
        Read the pixel data too. Without, parsing stops in front of them.
    max_inflated_bytes
        Bound on a deflated data set once inflated.

    Raises
    ------
    CannotUnderstand
        No DICOM, broken beyond reading, nested too deep, or a deflate bomb.
    OSError
        The file cannot be opened.
    """
    return locate(source, pixels=pixels, max_inflated_bytes=max_inflated_bytes)[0]


def locate(
    source: Path | BinaryIO,
    *,
    pixels: bool = False,
    notes: list[str] | None = None,
    max_inflated_bytes: int = MAX_INFLATED_BYTES,
) -> tuple[Dataset, PixelPlace | None]:
    """As `read_dataset`, and where the pixel data lie, so that they can be read later without parsing again.

    The place is None where there are none, where ``pixels`` read them, or where the data set is deflated.
    """
    found = notes if notes is not None else []
    if isinstance(source, Path):
        with source.open("rb") as stream:  # a file that is not there is no fault of its content: OSError goes up
            return _parse(stream, pixels, found, _DEFER_BYTES, max_inflated_bytes)
    return _parse(source, pixels, found, None, max_inflated_bytes)


def _parse(
    stream: BinaryIO, pixels: bool, notes: list[str], defer: int | None, max_inflated_bytes: int
) -> tuple[Dataset, PixelPlace | None]:
    with understanding("no readable DICOM data set"), tolerating(notes):
        return _parse_any(stream, pixels, notes, defer, max_inflated_bytes)


def _parse_any(
    stream: BinaryIO, pixels: bool, notes: list[str], defer: int | None, max_inflated_bytes: int
) -> tuple[Dataset, PixelPlace | None]:
    head = stream.read(132)
    stream.seek(0)
    if head[128:132] != b"DICM":
        note(notes, "no preamble and DICM prefix as PS3.10 7.1 says")
    stop = _Stop(stream, pixels)
    meta_end = _deflated_from(stream)
    if meta_end is not None:
        return _parse_deflated(stream, meta_end, stop, notes, max_inflated_bytes), None
    dataset = read_partial(stream, stop, defer_size=None if pixels else defer, force=True)
    if pixels and not dataset and head:
        dataset = _parse_cut(stream, notes)
    if stop.place is not None and stop.place.end > stream.seek(0, io.SEEK_END):
        note(notes, "the pixel data end before their declared length")
    if not dataset:
        raise CannotUnderstand("no DICOM data set: it holds no element", hint="send it as DICOM Part 10")
    return dataset, stop.place


def _parse_cut(stream: BinaryIO, notes: list[str]) -> FileDataset:
    """A file that ends inside its pixel data, of which pydicom keeps nothing: the header, and the pixel data as far as they go."""
    stream.seek(0)
    stop = _Stop(stream, pixels=False)
    dataset = read_partial(stream, stop, force=True)
    if stop.place is not None:
        note(notes, "the pixel data end before their declared length")
        dataset.add_new(stop.place.tag, stop.place.vr, stop.place.read(stream))
    return dataset


class _Stop:
    """pydicom's stop condition: in front of the pixel data of the outermost data set, whose place it keeps."""

    def __init__(self, stream: BinaryIO, pixels: bool) -> None:
        self._stream = stream
        self._pixels = pixels
        self.place: PixelPlace | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if self._pixels or int(tag) not in _PIXEL_TAGS:
            return False
        self.place = PixelPlace(int(tag), vr or "OW", self._stream.tell(), None if length == 0xFFFFFFFF else length)
        return True


def _deflated_from(stream: BinaryIO) -> int | None:
    """Where the deflated data set starts, or None if it is not deflated. The stream is left at its start."""
    head = stream.read(4096)
    stream.seek(0)
    at = 132 if head[128:132] == b"DICM" else 0
    deflated = False
    while head[at : at + 2] == b"\x02\x00" and at + 12 <= len(head):
        if head[at + 4 : at + 6] in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            start, size = at + 12, int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            start, size = at + 8, int.from_bytes(head[at + 6 : at + 8], "little")
        if head[at + 2 : at + 4] == b"\x10\x00":
            deflated = head[start : start + size].rstrip(b"\0 ") == DeflatedExplicitVRLittleEndian.encode()
        at = start + size
    return at if deflated else None


def _parse_deflated(stream: BinaryIO, meta_end: int, stop: _Stop, notes: list[str], max_inflated_bytes: int) -> Dataset:
    meta = read_partial(io.BytesIO(stream.read(meta_end)), force=True)
    packed = stream.read()
    for bound in (min(_FIRST_INFLATED_BYTES, max_inflated_bytes), max_inflated_bytes):
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(packed, bound)
        if not inflater.eof and not inflater.unconsumed_tail:
            note(notes, "the deflated data set ends early")
        whole = inflater.eof or not inflater.unconsumed_tail
        if not whole and bound == max_inflated_bytes:
            raise CannotUnderstand(
                f"a deflated data set inflates to more than {max_inflated_bytes} bytes", hint="send it with another transfer syntax"
            )
        if not whole and stop._pixels:
            continue
        buffer = io.BytesIO(plain)
        try:
            dataset = parse_dataset(buffer, False, True, stop_when=stop)
        except EOFError:
            if whole:
                raise
            continue
        if whole or stop.place is not None:
            break
    result = FileDataset(buffer, dataset, meta.preamble, meta.file_meta, False, True)
    result.set_original_encoding(False, True, dataset._character_set)
    return result


def read_header(source: Path | BinaryIO) -> InstanceHeader:
    """The header of one instance, without its pixel data.

    Raises
    ------
    CannotUnderstand
        It is no DICOM data set, or one of the SOP class, SOP instance, study and series UIDs is missing
        (type 1 in every storage SOP class, PS3.3 C.12.1, C.7.2.1, C.7.3.1).
    """
    notes: list[str] = []
    dataset, _ = locate(source, notes=notes)
    with understanding("a header that cannot be read"), tolerating(notes):
        header = _header_of(dataset, notes)
    return replace(header, tolerated=tuple(notes))  # what pydicom warned of is there only now


def _header_of(dataset: Dataset, notes: list[str]) -> InstanceHeader:
    read = Reader(dataset, notes)
    uids = {keyword: read.text(keyword) for keyword in _REQUIRED}
    missing = [keyword for keyword, uid in uids.items() if not uid]
    if missing:
        raise CannotUnderstand(f"{', '.join(missing)} missing or empty", hint="the instance has no identity; repair it at its source")
    if any(len(uid) > MAX_UID for uid in uids.values()):
        raise CannotUnderstand(f"a UID is longer than {MAX_UID} characters", hint="64 are allowed (PS3.5 9.1)")
    if any(not UID(uid).is_valid for uid in uids.values()):
        note(notes, "a UID is not formed as PS3.5 9.1 says")
    shared = _shared_reader(dataset, notes)
    return InstanceHeader(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=_transfer_syntax(dataset, uids["SOPInstanceUID"], notes),
        patient_id=read.text("PatientID"),
        issuer_of_patient_id=read.text("IssuerOfPatientID"),
        patient_name=read.text("PatientName"),
        patient_birth_date=read.text("PatientBirthDate"),
        patient_sex=read.text("PatientSex"),
        accession_number=read.text("AccessionNumber"),
        study_id=read.text("StudyID"),
        study_date=read.text("StudyDate"),
        study_time=read.text("StudyTime"),
        study_description=read.text("StudyDescription"),
        series_description=read.text("SeriesDescription"),
        series_number=read.integer("SeriesNumber"),
        modality=read.text("Modality"),
        body_part_examined=read.text("BodyPartExamined"),
        image_type=read.texts("ImageType"),
        frame_of_reference_uid=read.text("FrameOfReferenceUID")[:MAX_UID],
        instance_number=read.integer("InstanceNumber"),
        orientation=cast(
            tuple[float, float, float, float, float, float] | None,
            read.numbers("ImageOrientationPatient", 6) or (shared and shared.numbers("ImageOrientationPatient", 6)),
        ),
        position=cast(Lps | None, read.numbers("ImagePositionPatient", 3)),
        pixel_spacing_mm=cast(
            tuple[float, float] | None, read.numbers("PixelSpacing", 2) or (shared and shared.numbers("PixelSpacing", 2))
        ),
        slice_thickness_mm=_first(read.number("SliceThickness"), shared.number("SliceThickness") if shared else None),
        convolution_kernel=read.text("ConvolutionKernel") or (shared.text("ConvolutionKernel") if shared else ""),
        rows=read.integer("Rows", low=1),
        columns=read.integer("Columns", low=1),
        number_of_frames=read.integer("NumberOfFrames", low=1) or 1,
        series_related_instances=read.integer("NumberOfSeriesRelatedInstances", low=0),
        timezone_offset=read.text("TimezoneOffsetFromUTC"),
        character_set=read.texts("SpecificCharacterSet"),
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _transfer_syntax(dataset: Dataset, sop_instance_uid: str, notes: list[str]) -> str:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    named = clean(str(meta.get("MediaStorageSOPInstanceUID", "") or ""), notes, "MediaStorageSOPInstanceUID")
    if named and named != sop_instance_uid:
        note(notes, "file meta information and data set name different SOP instances")
    syntax = clean(str(meta.get("TransferSyntaxUID", "") or ""), notes, "TransferSyntaxUID")
    if syntax:
        return syntax[:MAX_UID]
    note(notes, "no transfer syntax in the file meta information: guessed from the first element")
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _shared(dataset: Dataset) -> Dataset:
    """The shared functional groups of a multi-frame image as one flat data set (PS3.3 C.7.6.16); empty if there are none."""
    flat = Dataset()
    groups = dataset.get("SharedFunctionalGroupsSequence")
    if groups is None or len(groups) == 0:
        return flat
    for macro, keywords in _FLATTENED.items():
        items = groups[0].get(macro)
        if items is None or len(items) == 0:
            continue
        for keyword in keywords:
            if keyword in items[0]:
                flat[keyword] = items[0][keyword]
    return flat


def _shared_reader(dataset: Dataset, notes: list[str]) -> Reader | None:
    if "SharedFunctionalGroupsSequence" not in dataset:
        return None
    return Reader(_shared(dataset), notes)


def routable(ds: Dataset) -> dict[str, RouteValue]:
    """Every plain element by its DICOM keyword: what route conditions may ask for.

    Numbers are float, several values a tuple, text is clean str; sequences, binary and private elements are left
    out, as is what cannot be read. Slice thickness, spacing and orientation of a multi-frame image's shared
    functional groups appear as if they stood in the data set itself.
    """
    notes: list[str] = []
    found: dict[str, RouteValue] = {}
    with understanding("a header that cannot be read"), tolerating(notes):
        for source in (_shared(ds), ds):
            for tag in list(source.keys()):
                if tag.is_private or tag.group in (0x0002, 0x7FE0):
                    continue
                pair = _plain(source, tag, notes)
                if pair is not None:
                    found[pair[0]] = pair[1]
    return found


def _plain(dataset: Dataset, tag: BaseTag, notes: list[str]) -> tuple[str, RouteValue] | None:
    raw = dataset.get_item(tag)
    if raw is None or raw.VR in _OPAQUE_VRS or (raw.VR is not None and raw.value is None):
        return None
    try:
        element = dataset[tag]
        keyword, vr, value = element.keyword, element.VR, element.value
        if not keyword or vr in _OPAQUE_VRS or value is None or value == "" or isinstance(value, bytes):
            return None
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") or vr == "PN" else list(value)
        if not parts:
            return None
        if vr in _NUMBER_VRS:
            numbers = tuple(float(str(part)) for part in parts)
            if not all(math.isfinite(number) for number in numbers):
                return None
            return keyword, numbers[0] if len(numbers) == 1 else numbers
        texts = tuple(clean(str(part), notes, keyword) for part in parts)
        return keyword, texts[0] if len(texts) == 1 else texts
    except (RecursionError, MemoryError):
        raise
    except Exception:  # pydicom has many ways to fail on a broken value
        return None  # an unreadable element matches no condition
