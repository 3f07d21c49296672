"""Body sites on the skin: DICOM codes (PS3.16 CID 4029) and Body Part Examined to the words of HAM10000, and back."""

from functools import cache

from pydicom.dataset import Dataset

from core.records import Code

# HAM10000 word: SNOMED CT keywords in pydicom's dictionary (the first is the one that is written), Body Part Examined terms.
_SITES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "abdomen": (("SkinOfAbdomen", "Abdomen", "SkinOfUpperAbdomen", "SkinOfLowerAbdomen", "SkinOfUmbilicus"), ("ABDOMEN",)),
    "acral": (("SkinOfSoleOfForefoot", "SkinOfHeel", "NailUnitOfToe", "NailUnitOfFinger"), ()),
    "back": (("SkinOfBack", "Back", "SkinOfLowerBack", "SkinOfMidBack", "SkinOfPosteriorSurfaceOfThorax"), ("BACK", "TSPINE", "LSPINE")),
    "chest": (
        ("SkinOfAnteriorSurfaceOfThorax", "Thorax", "Breast", "SkinOfNipple", "SkinOfAreola", "SternalSkin", "SkinOfLowerChestWall"),
        ("CHEST", "THORAX", "BREAST"),
    ),
    "ear": (("SkinOfEar", "Ear", "ExternalEar", "SkinOfEarLobule", "SkinOfHelixOfEar", "SkinOfTragus"), ("EAR",)),
    "face": (
        ("SkinOfFace", "Face", "SkinOfCheek", "Cheek", "SkinOfNose", "Nose", "SkinOfForehead", "SkinOfChin", "SkinOfUpperLip", "SkinOfLip"),
        ("FACE", "NOSE", "CHEEK"),
    ),
    "foot": (("SkinOfFoot", "Foot", "SkinOfToe", "Toe"), ("FOOT", "TOE")),
    "genital": (("SkinOfExternalGenitalia", "SkinOfPenis", "Penis", "Vulva", "SkinOfScrotum", "Scrotum"), ("PENIS", "SCROTUM", "VULVA")),
    "hand": (("SkinOfHand", "Hand", "SkinOfPalmOfHand", "Finger", "SkinOfDigitOfHand"), ("HAND", "FINGER")),
    "lower extremity": (
        (
            "SkinOfLowerExtremity",
            "LowerLimb",
            "Thigh",
            "LowerLeg",
            "Knee",
            "SkinOfAnteriorSurfaceOfLowerLeg",
            "SkinOfAnteriorSurfaceOfThigh",
            "SkinOfPosteriorSurfaceOfLowerLeg",
            "SkinOfPosteriorSurfaceOfThigh",
        ),
        ("LEG", "THIGH", "CALF", "KNEE", "EXTREMITY LOWER", "LOWERLIMB", "LOWER LIMB"),
    ),
    "neck": (("SkinOfNeck", "Neck", "SkinOfAnteriorPortionOfNeck", "SkinOfNuchalRegion"), ("NECK",)),
    "scalp": (("SkinOfScalp", "Scalp", "SkinOfVertexOfScalp"), ("SCALP",)),
    "trunk": (("Trunk", "SkinOfAnteriorTrunk", "SkinOfUpperTrunk", "SkinOfButtock", "Buttock", "Flank"), ("TRUNK",)),
    "upper extremity": (
        (
            "SkinOfUpperExtremity",
            "UpperLimb",
            "Forearm",
            "UpperArm",
            "SkinOfAnteriorSurfaceOfForearm",
            "SkinOfPosteriorSurfaceOfForearm",
            "SkinOfAnteriorSurfaceOfUpperArm",
            "SkinOfPosteriorSurfaceOfUpperArm",
        ),
        ("ARM", "FOREARM", "ELBOW", "HUMERUS", "EXTREMITY UPPER", "UPPERLIMB", "UPPER LIMB"),
    ),
}


@cache
def _words_by_code() -> dict[tuple[str, str], str]:
    from pydicom.sr.codedict import codes  # 0.5 s of processor time, and most often not needed

    found: dict[tuple[str, str], str] = {}
    for word, (keywords, _) in _SITES.items():
        for keyword in keywords:
            for scheme in ("SCT", "DCM"):
                concept = getattr(getattr(codes, scheme), keyword, None)
                if concept is not None:
                    found[(scheme, concept.value)] = word
                    break
            else:
                raise LookupError(f"pydicom's dictionary has no concept {keyword}")
    return found


@cache
def _words_by_body_part() -> dict[str, str]:
    return {term: word for word, (_, terms) in _SITES.items() for term in terms}


def coded_sites() -> tuple[str, ...]:
    """The HAM10000 localization words that have a SNOMED CT code."""
    return tuple(word for word in _SITES if word != "acral")


def site_code(word: str) -> Code | None:
    """The SNOMED CT concept of a HAM10000 word; None for "", "unknown", and "acral", as no concept means palms and soles."""
    if word not in coded_sites():
        return None
    from pydicom.sr.codedict import codes

    concept = getattr(codes.SCT, _SITES[word][0][0])
    return Code(concept.value, "SCT", concept.meaning)


def read_body_site(dataset: Dataset) -> str:
    """The HAM10000 word of an image's anatomic region, else of its body part; "" if neither is known."""
    for item in dataset.get("AnatomicRegionSequence") or []:
        scheme = str(item.get("CodingSchemeDesignator", "") or "")
        word = _words_by_code().get((scheme, str(item.get("CodeValue", "") or "")))
        if word:
            return word
    return _words_by_body_part().get(str(dataset.get("BodyPartExamined", "") or "").strip().upper(), "")
