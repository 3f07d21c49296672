"""Content items are, byte for byte, what highdicom makes of the same values."""

import highdicom.sr as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage

from core import codes, private_codes
from core.records import Code
from imaging.wire.writer import encode_dataset
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ACQUIRED, CONTAINS, INFERRED, MODIFIED, OBSERVED, SELECTED, Item
from workers.encode.text import character_sets

LONG, URN = Code("a" * 17, "99X", "A long value"), Code("urn:oid:2.25.1234567", "99X", "A name")
LATIN, UTF8 = (one.encode for one in character_sets(("ISO_IR 100",)))
CT, PDF = str(CTImageStorage), str(EncapsulatedPDFStorage)


def named(code: Code) -> hd.CodedConcept:
    return hd.CodedConcept(code.value, code.scheme, code.meaning)


def inside(relation: str, *children: Dataset) -> Dataset:
    made = hd.ContainerContentItem(named(codes.IMAGE_LIBRARY), template_id="1600", relationship_type=relation)
    made.ContentSequence = hd.ContentSequence(children)
    return made


NAME = named(codes.SOURCE)
PAIRS: dict[str, tuple[Item, Dataset]] = {
    "text": (content_items.text(codes.COMMENT, "Größe \\ 7", OBSERVED), hd.TextContentItem(named(codes.COMMENT), "Größe \\ 7", OBSERVED)),
    "code": (
        content_items.coded(private_codes.TIER, codes.SKIN, MODIFIED),
        hd.CodeContentItem(named(private_codes.TIER), named(codes.SKIN), MODIFIED),
    ),
    "long code": (content_items.coded(private_codes.TIER, LONG), hd.CodeContentItem(named(private_codes.TIER), named(LONG), CONTAINS)),
    "URN": (content_items.coded(private_codes.TIER, URN), hd.CodeContentItem(named(private_codes.TIER), named(URN), CONTAINS)),
    "UID": (content_items.unique(codes.SOURCE, "2.25.7", ACQUIRED), hd.UIDRefContentItem(NAME, "2.25.7", ACQUIRED)),
    "composite": (
        content_items.image(codes.SOURCE, (PDF, "2.25.7", None), kind="COMPOSITE"),
        hd.CompositeContentItem(NAME, PDF, "2.25.7", CONTAINS),
    ),
    "frames": (
        content_items.image(codes.SOURCE, (CT, "2.25.7", [3, 14])),
        hd.ImageContentItem(NAME, CT, "2.25.7", [3, 14], relationship_type=CONTAINS),
    ),
    "segment": (
        content_items.image(codes.SOURCE, (CT, "2.25.7", None), segment=258),
        hd.ImageContentItem(NAME, CT, "2.25.7", None, 258, CONTAINS),
    ),
    "point": (
        content_items.point(codes.SOURCE, (1.5, 1 / 3), content_items.image(codes.SOURCE, (CT, "2.25.7", None), SELECTED), INFERRED),
        hd.CoordinatesForMeasurement("POINT", np.array([[1.5, 1 / 3]]), hd.SourceImageForRegion(CT, "2.25.7")),
    ),
    "point in space": (
        content_items.point_in_space(codes.SOURCE, (-61.25, 1e-9, 1e9), "2.25.7", INFERRED),
        hd.CoordinatesForMeasurement3D("POINT", np.array([[-61.25, 1e-9, 1e9]]), "2.25.7"),
    ),
    "container": (
        content_items.container(codes.IMAGE_LIBRARY, [content_items.unique(codes.SOURCE, "2.25.70")], template="1600"),
        inside(CONTAINS, hd.UIDRefContentItem(NAME, "2.25.70", CONTAINS)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("encode", [LATIN, UTF8])
def test_as_highdicom_writes_it(name: str, encode: content_items.Encode) -> None:
    ours, theirs = PAIRS[name]
    assert ours.written(encode) == encode_dataset(theirs, encode)


@pytest.mark.parametrize("value", [0, 512, 0.0, 450.0, 0.8123, 1 / 3, -1e-7, 123456789.123, 1e22])
def test_numbers(value: float) -> None:
    theirs = hd.NumContentItem(named(private_codes.SCORE), value, named(codes.NO_UNITS), relationship_type=CONTAINS)
    assert content_items.number(private_codes.SCORE, value, codes.NO_UNITS).written(LATIN) == encode_dataset(theirs, LATIN)


def test_a_text_that_the_set_does_not_hold_is_refused_and_the_next_set_taken() -> None:
    item = content_items.container(codes.IMAGE_LIBRARY, [content_items.text(codes.COMMENT, "Предел")])
    with pytest.raises(UnicodeError):
        item.written(LATIN)
    assert "Предел".encode() in item.written(UTF8)
