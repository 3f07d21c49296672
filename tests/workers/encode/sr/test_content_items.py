"""Content items are byte for byte what highdicom makes of the same values."""

import highdicom.sr as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage

from core.concepts import codes, private_codes
from core.records import Code
from imaging.wire.writer import EncodeText, encode_dataset
from workers.encode.character_sets import choose_character_sets
from workers.encode.sr import content_items
from workers.encode.sr.content_items import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    INFERRED_FROM,
    SELECTED_FROM,
    ContentItem,
)  # fmt: skip

LONG, URN = Code("a" * 17, "99X", "A long value"), Code("urn:oid:2.25.1234567", "99X", "A name")
LATIN, UTF8 = (characters.encode for characters in choose_character_sets(("ISO_IR 100",)))
CT, PDF = str(CTImageStorage), str(EncapsulatedPDFStorage)


def named(code: Code) -> hd.CodedConcept:
    return hd.CodedConcept(code.value, code.scheme, code.meaning)


def inside(relation: str, *children: Dataset) -> Dataset:
    made = hd.ContainerContentItem(named(codes.IMAGE_LIBRARY), template_id="1600", relationship_type=relation)
    made.ContentSequence = hd.ContentSequence(children)
    return made


NAME = named(codes.SOURCE)
IMAGE = content_items.reference_item(codes.SOURCE, (CT, "2.25.7", None), SELECTED_FROM)
PAIRS: dict[str, tuple[ContentItem, Dataset]] = {
    "text": (
        content_items.text_item(codes.COMMENT, "Größe \\ 7", HAS_OBS_CONTEXT),
        hd.TextContentItem(named(codes.COMMENT), "Größe \\ 7", HAS_OBS_CONTEXT),
    ),
    "code": (
        content_items.code_item(private_codes.TIER, codes.SKIN, HAS_CONCEPT_MOD),
        hd.CodeContentItem(named(private_codes.TIER), named(codes.SKIN), HAS_CONCEPT_MOD),
    ),
    "long code": (content_items.code_item(private_codes.TIER, LONG), hd.CodeContentItem(named(private_codes.TIER), named(LONG), CONTAINS)),
    "URN": (content_items.code_item(private_codes.TIER, URN), hd.CodeContentItem(named(private_codes.TIER), named(URN), CONTAINS)),
    "UID": (content_items.uid_item(codes.SOURCE, "2.25.7", HAS_ACQ_CONTEXT), hd.UIDRefContentItem(NAME, "2.25.7", HAS_ACQ_CONTEXT)),
    "composite": (
        content_items.reference_item(codes.SOURCE, (PDF, "2.25.7", None)),
        hd.CompositeContentItem(NAME, PDF, "2.25.7", CONTAINS),
    ),
    "frames": (
        content_items.reference_item(codes.SOURCE, (CT, "2.25.7", [3, 14])),
        hd.ImageContentItem(NAME, CT, "2.25.7", [3, 14], relationship_type=CONTAINS),
    ),
    "segment": (
        content_items.reference_item(codes.SOURCE, (CT, "2.25.7", None), segment=258),
        hd.ImageContentItem(NAME, CT, "2.25.7", None, 258, CONTAINS),
    ),
    "point": (
        content_items.image_point_item(
            codes.SOURCE, (1.5, 1 / 3), content_items.reference_item(codes.SOURCE, (CT, "2.25.7", None), SELECTED_FROM), INFERRED_FROM
        ),
        hd.CoordinatesForMeasurement("POINT", np.array([[1.5, 1 / 3]]), hd.SourceImageForRegion(CT, "2.25.7")),
    ),
    "point in space": (
        content_items.space_point_item(codes.SOURCE, (-61.25, 1e-9, 1e9), "2.25.7", INFERRED_FROM),
        hd.CoordinatesForMeasurement3D("POINT", np.array([[-61.25, 1e-9, 1e9]]), "2.25.7"),
    ),
    "container": (
        content_items.container_item(codes.IMAGE_LIBRARY, [content_items.uid_item(codes.SOURCE, "2.25.70")], template="1600"),
        inside(CONTAINS, hd.UIDRefContentItem(NAME, "2.25.70", CONTAINS)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("encode_text", [LATIN, UTF8])
def test_items_are_encoded_as_highdicom_encodes_them(name: str, encode_text: EncodeText) -> None:
    ours, theirs = PAIRS[name]
    assert ours.encode(encode_text) == encode_dataset(theirs, encode_text)


@pytest.mark.parametrize("value", [0, 512, 0.0, 450.0, 0.8123, 1 / 3, -1e-7, 123456789.123, 1e22])
def test_numbers_are_encoded_as_highdicom_encodes_them(value: float) -> None:
    theirs = hd.NumContentItem(named(private_codes.SCORE), value, named(codes.NO_UNITS), relationship_type=CONTAINS)
    measured = theirs.MeasuredValueSequence[0]
    measured.NumericValue = str(measured.NumericValue).removesuffix(".0")  # a whole number claims no tenth
    assert content_items.number_item(private_codes.SCORE, value, codes.NO_UNITS).encode(LATIN) == encode_dataset(theirs, LATIN)


def test_text_beyond_the_character_set_raises() -> None:
    item = content_items.container_item(codes.IMAGE_LIBRARY, [content_items.text_item(codes.COMMENT, "Предел")])
    with pytest.raises(UnicodeError):
        item.encode(LATIN)
    assert "Предел".encode() in item.encode(UTF8)
