"""The part of the body that the images show, from their header."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from core.concepts import codes
from core.records import Code
from imaging.headers.shared_groups import flatten_shared_groups
from imaging.wire.tolerant_values import TolerantReader
from workers.encode.known_codes import is_known

SIDES = {"L": codes.LEFT, "R": codes.RIGHT}
# Body parts (PS3.16 Annex L) that have no sides: Laterality (0020,0060) is for paired body parts only (PS3.3 C.7.3.1).
UNPAIRED_BODY_PARTS = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "BRAIN", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CSPINE", "HEAD", "HEADNECK", "HEART", "LIVER",
    "LSPINE", "LSSPINE", "MEDIASTINUM", "NECK", "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "PELVIS", "SKULL", "SPINE", "SSPINE",
    "THORAX", "TRUNK", "TSPINE", "WHOLEBODY",
})  # fmt: skip
# Those of which a CT slice may show one side alone. A slice of the trunk or the head shows both sides, also of the paired organs in it.
LIMBS = frozenset({
    "ANKLE", "ARM", "CALCANEUS", "CALF", "ELBOW", "EXTREMITY", "FEMUR", "FIBULA", "FINGER", "FOOT", "FOREARM", "HAND", "HIP", "HUMERUS",
    "KNEE", "LEG", "LOWERLEG", "LOWERLIMB", "PATELLA", "RADIUS", "RADIUSULNA", "SHOULDER", "THIGH", "THUMB", "TIBIA", "TIBIAFIBULA",
    "TOE", "ULNA", "UPPERARM", "UPPERLIMB", "WRIST",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Body part of the images.

    ``region``: a code that the standard publishes, else None. ``side``: "L", "R" or "". ``body_part``: Body Part Examined (0018,0015).
    ``both_sides``: an image shows both sides of the body, so that ``side`` says nothing about the place of a finding in it.
    """

    region: Code | None = None
    side: str = ""
    body_part: str = ""
    both_sides: bool = False

    @property
    def series_side(self) -> str:
        """Laterality (0020,0060): ``side``, and "" for a body part without sides."""
        return "" if self.body_part in UNPAIRED_BODY_PARTS else self.side

    def finding_site(self, organ: Code | None) -> Code | None:
        """The site of a finding: the images' region if the model's site is skin, else the model's site."""
        return self.region if organ == codes.SKIN and self.region is not None else organ

    def finding_side(self, own: Code | None) -> Code | None:
        """The side of a finding: the one that the model gives, else that of the images if they show one side only."""
        return own if own is not None or self.both_sides else SIDES.get(self.side)


def read_anatomy(dataset: Dataset) -> Anatomy:
    """From Anatomic Region Sequence with its modifiers, Image Laterality, Laterality and Body Part Examined (PS3.3 10.5, C.7.3.1).

    A multi-frame image may state region and side in Frame Anatomy Sequence instead, here if all frames share it (C.7.6.16.2.8).
    Laterality of a body part without sides is not used; Image Laterality is, because it may be of such a part (left side of the chest).
    """
    region, side = None, ""
    shared = flatten_shared_groups(dataset)
    for item in (dataset.get("AnatomicRegionSequence") or shared.get("AnatomicRegionSequence") or [])[:1]:
        code = _read_code(item)
        region = code if is_known(code) else None
        modifiers = {(modifier.value, modifier.scheme) for modifier in map(_read_code, item.get("AnatomicRegionModifierSequence") or [])}
        side = next((letter for letter, code in SIDES.items() if (code.value, code.scheme) in modifiers), "")
    read = TolerantReader(dataset, [])
    body_part = read.text("BodyPartExamined").upper()
    for keyword in ("ImageLaterality", *(() if body_part in UNPAIRED_BODY_PARTS else ("Laterality",))):
        letter = read.text(keyword).upper()
        side = side or (letter if letter in SIDES else "")
    letter = TolerantReader(shared, []).text("FrameLaterality").upper()
    side = side or (letter if letter in SIDES else "")
    fits_cs = len(body_part) <= 16 and all(letter.isascii() and (letter.isalnum() or letter in " _") for letter in body_part)
    both_sides = read.text("Modality") == "CT" and body_part not in LIMBS
    return Anatomy(region, side, body_part if fits_cs else "", both_sides)


def _read_code(item: Dataset) -> Code:
    read = TolerantReader(item, [])
    return Code(read.text("CodeValue"), read.text("CodingSchemeDesignator"), read.text("CodeMeaning"))
