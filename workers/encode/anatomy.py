"""Which part of the body the images show, as their header says it."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from core import codes
from core.records import Code
from imaging.wire.tolerant_values import TolerantReader
from workers.encode.validate.content_tree import known

SIDES = {"L": codes.LEFT, "R": codes.RIGHT}


@dataclass(frozen=True, slots=True)
class Anatomy:
    """``region``: a code of the standard, None where there is none. ``side``: "L", "R" or "". ``body_part``: (0018,0015)."""

    region: Code | None = None
    side: str = ""
    body_part: str = ""

    def site(self, organ: Code | None) -> Code | None:
        """The images' own region where the model only says skin, else what the model says."""
        return self.region if organ == codes.SKIN and self.region is not None else organ


def anatomy_of(dataset: Dataset) -> Anatomy:
    """From Anatomic Region Sequence with its modifiers, Image Laterality, Laterality and Body Part Examined (PS3.3 10.5, C.7.3.1)."""
    region, side = None, ""
    for item in (dataset.get("AnatomicRegionSequence") or [])[:1]:
        found = _code(item)
        region = found if known(found) else None
        named = {(modifier.value, modifier.scheme) for modifier in map(_code, item.get("AnatomicRegionModifierSequence") or [])}
        side = next((letter for letter, code in SIDES.items() if (code.value, code.scheme) in named), "")
    read = TolerantReader(dataset, [])
    for keyword in ("ImageLaterality", "Laterality"):
        letter = read.text(keyword).upper()
        side = side or (letter if letter in SIDES else "")
    body_part = read.text("BodyPartExamined").upper()
    fits = len(body_part) <= 16 and all(letter.isascii() and (letter.isalnum() or letter in " _") for letter in body_part)
    return Anatomy(region, side, body_part if fits else "")


def _code(item: Dataset) -> Code:
    read = TolerantReader(item, [])
    return Code(read.text("CodeValue"), read.text("CodingSchemeDesignator"), read.text("CodeMeaning"))
