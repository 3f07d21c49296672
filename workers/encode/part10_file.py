"""A result object as a Part 10 file, Explicit VR Little Endian."""

import io

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian

from core.records import ResultObject
from core.states import ResultKind
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from imaging.wire.part10 import PREAMBLE_AND_PREFIX
from imaging.wire.writer import encode_dataset
from workers.encode.character_sets import CharacterSet, choose_character_sets
from workers.encode.sr.content_items import ContentItem


def encode_object(
    document: Dataset, *, kind: ResultKind, profile: str, source_character_set: tuple[str, ...], content_tree: ContentItem | None = None
) -> ResultObject:
    """The record of a result object, with its encoded file.

    Parameters
    ----------
    document
        The data set, which is given its Specific Character Set here.
    source_character_set
        Used if every text of the document can be written in it; else UTF-8.
    content_tree
        The root of its content, for a structured report or key object selection.
    """
    return ResultObject(
        kind=kind,
        profile=profile,
        sop_class_uid=str(document.SOPClassUID),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=encode_file(document, source_character_set, content_tree),
    )


def encode_file(document: Dataset, source_character_set: tuple[str, ...], content_tree: ContentItem | None = None) -> bytes:
    """The Part 10 file of a data set; parameters as of `encode_object`."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO(PREAMBLE_AND_PREFIX)
    buffer.seek(0, io.SEEK_END)
    write_file_meta_info(buffer, meta)
    return buffer.getvalue() + _encode_body(document, source_character_set, content_tree)


def _encode_body(document: Dataset, source_character_set: tuple[str, ...], content_tree: ContentItem | None) -> bytes:
    first, *others = choose_character_sets(source_character_set)
    try:
        return _encode_in(first, document, content_tree)
    except UnicodeError:
        return _encode_in(others[0], document, content_tree)


def _encode_in(characters: CharacterSet, document: Dataset, content_tree: ContentItem | None) -> bytes:
    if characters.name:
        document.SpecificCharacterSet = characters.name
    elif "SpecificCharacterSet" in document:
        del document.SpecificCharacterSet
    for element in () if content_tree is None else content_tree.raw_elements(characters.encode):
        document[element.tag] = element
    return encode_dataset(document, characters.encode)
