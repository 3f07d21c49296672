"""Regions of the skin that a person chooses on a body map: SNOMED CT concepts of PS3.16 CID 4029, with the side where it is paired."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from core.records import Code

_SINGLE = {
    "scalp": "SkinOfScalp", "forehead": "SkinOfForehead", "nose": "SkinOfNose", "lips": "SkinOfLip", "chin": "SkinOfChin",
    "neck": "SkinOfAnteriorPortionOfNeck", "nape": "SkinOfNuchalRegion", "chest": "SkinOfAnteriorSurfaceOfThorax",
    "abdomen": "SkinOfAbdomen", "genital": "SkinOfExternalGenitalia", "upper-back": "SkinOfPosteriorSurfaceOfThorax",
    "lower-back": "SkinOfLowerBack",
}  # fmt: skip
_PAIRED = {
    "cheek": "SkinOfCheek", "ear": "SkinOfEar", "upper-arm": "SkinOfAnteriorSurfaceOfUpperArm",
    "forearm": "SkinOfAnteriorSurfaceOfForearm", "palm": "SkinOfPalmOfHand", "thigh": "SkinOfAnteriorSurfaceOfThigh",
    "lower-leg": "SkinOfAnteriorSurfaceOfLowerLeg", "foot": "SkinOfFoot", "upper-arm-back": "SkinOfPosteriorSurfaceOfUpperArm",
    "forearm-back": "SkinOfPosteriorSurfaceOfForearm", "hand": "SkinOfHand", "buttock": "SkinOfButtock",
    "thigh-back": "SkinOfPosteriorSurfaceOfThigh", "calf": "SkinOfPosteriorSurfaceOfLowerLeg", "heel": "SkinOfHeel",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkinRegion:
    """One region. ``side`` is L, R or "" for a region that is not paired; ``key`` names it, for example ``cheek-L``."""

    key: str
    code: Code
    side: str

    @property
    def side_code(self) -> Code | None:
        """Left or right (PS3.16 CID 244); None for a region that is not paired."""
        if not self.side:
            return None
        from pydicom.sr.codedict import codes  # the dictionary takes a quarter of a second to load

        concept = codes.cid244.Left if self.side == "L" else codes.cid244.Right
        return Code(concept.value, "SCT", concept.meaning)

    @property
    def label(self) -> str:
        """The region in words, as ``Skin of cheek, left``."""
        side = self.side_code
        return self.code.meaning if side is None else f"{self.code.meaning}, {side.meaning.lower()}"


def region_keys() -> list[str]:
    """Return the key of every region, in the order of `skin_regions`; needs no dictionary of codes."""
    return [key for key, _, _ in _keyed_concepts()]


def _keyed_concepts() -> Iterator[tuple[str, str, str]]:
    """Yield (key, keyword of the concept in CID 4029, side) of every region."""
    for names, sides in ((_SINGLE, ("",)), (_PAIRED, ("R", "L"))):
        for name, keyword in names.items():
            for side in sides:
                yield f"{name}-{side}" if side else name, keyword, side


@cache
def skin_regions() -> dict[str, SkinRegion]:
    """Every region, by its key.

    Raises
    ------
    AttributeError
        pydicom's dictionary does not have one of the concepts in CID 4029.
    """
    from pydicom.sr.codedict import codes

    found = {}
    for key, keyword, side in _keyed_concepts():
        concept = getattr(codes.cid4029, keyword)
        found[key] = SkinRegion(key, Code(concept.value, "SCT", concept.meaning), side)
    return found
