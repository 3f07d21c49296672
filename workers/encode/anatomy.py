"""The part of the body that the images show, from their header."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from core import codes
from core.records import Code
from imaging.wire.tolerant_values import TolerantReader
from workers.encode.known_codes import is_known

SIDES = {"L": codes.LEFT, "R": codes.RIGHT}


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Body part of the images.

    ``region``: a code that the standard publishes, else None. ``side``: "L", "R" or "". ``body_part``: Body Part Examined (0018,0015).
    """

    region: Code | None = None
    side: str = ""
    body_part: str = ""

    def finding_site(self, organ: Code | None) -> Code | None:
        """The site of a finding: the images' region if the model's site is skin, else the model's site."""
        return self.region if organ == codes.SKIN and self.region is not None else organ


def read_anatomy(dataset: Dataset) -> Anatomy:
    """From Anatomic Region Sequence with its modifiers, Image Laterality, Laterality and Body Part Examined (PS3.3 10.5, C.7.3.1)."""
    region, side = None, ""
    for item in (dataset.get("AnatomicRegionSequence") or [])[:1]:
        code = _read_code(item)
        region = code if is_known(code) else None
        modifiers = {(modifier.value, modifier.scheme) for modifier in map(_read_code, item.get("AnatomicRegionModifierSequence") or [])}
        side = next((letter for letter, code in SIDES.items() if (code.value, code.scheme) in modifiers), "")
    read = TolerantReader(dataset, [])
    for keyword in ("ImageLaterality", "Laterality"):
        letter = read.text(keyword).upper()
        side = side or (letter if letter in SIDES else "")
    body_part = read.text("BodyPartExamined").upper()
    fits_cs = len(body_part) <= 16 and all(letter.isascii() and (letter.isalnum() or letter in " _") for letter in body_part)
    return Anatomy(region, side, body_part if fits_cs else "")


def _read_code(item: Dataset) -> Code:
    read = TolerantReader(item, [])
    return Code(read.text("CodeValue"), read.text("CodingSchemeDesignator"), read.text("CodeMeaning"))
