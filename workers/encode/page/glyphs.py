"""Which text the page's typeface can draw as it is read, and what stands in the place of the rest.

Scripts that are written from right to left or whose letters join need shaping, which is not done here. Chinese, Japanese and
Korean come from a second typeface where one is installed. A wrongly drawn name is worse than one that is said not to be shown.
"""

import unicodedata
from enum import Enum
from functools import cache
from pathlib import Path

from PIL import ImageFont

from workers.encode.pictures.style import east_asian_path, font_path

NOT_SHOWN = "(not shown: in characters that this page cannot draw)"
GAP = "(…)"
_SAMPLE_PX = 32
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_EAST_ASIAN = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL SYLLABLE", "IDEOGRAPHIC ")


class Face(Enum):
    """Which typeface draws a character."""

    USUAL = "usual"
    EAST_ASIAN = "east asian"


@cache
def _face(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), _SAMPLE_PX, layout_engine=ImageFont.Layout.BASIC)


@cache
def _missing(path: Path) -> bytes:
    """How a typeface draws what it does not have."""
    return bytes(_face(path).getmask("\U0010fffe"))


def _has(path: Path, character: str) -> bool:
    drawn = bytes(_face(path).getmask(character))
    return any(drawn) and drawn != _missing(path)


@cache
def face(character: str) -> Face | None:
    """The typeface that draws one character as a reader expects it; None where none does."""
    if character == " ":
        return Face.USUAL
    category = unicodedata.category(character)
    if category[0] in "CMZ" or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return None
    if _has(font_path(), character):
        return Face.USUAL
    other = east_asian_path()
    if other is not None and unicodedata.name(character, "").startswith(_EAST_ASIAN) and _has(other, character):
        return Face.EAST_ASIAN
    return None


def drawable(character: str) -> bool:
    """Whether one character comes out as a reader expects it."""
    return face(character) is not None


def shown(text: str) -> str:
    """The text in one line, a gap where characters cannot be drawn; said in words where nothing is left."""
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    parts: list[str] = []
    for character in normal:
        if drawable(character):
            parts.append(character)
        elif not parts or parts[-1] != GAP:
            parts.append(GAP)
    result = "".join(parts)
    return NOT_SHOWN if GAP in parts and not result.replace(GAP, "").strip(" ^=.,-") else result


def whole(text: str) -> bool:
    """Whether all of a text can be drawn."""
    return all(drawable(character) for character in " ".join(unicodedata.normalize("NFC", text).split()))


def identifier(text: str) -> str:
    """An identifier is shown whole or not at all: a part of it is another one's."""
    return text.strip() if whole(text) else NOT_SHOWN


def person(name: str) -> str:
    """A DICOM person name (PS3.5 6.2, PN): "Family, Given" in letters, and behind it, or alone, as it is written in ideographs.

    Of its up to three writings (letters, ideographs, sounds) those of the first two that can be drawn whole, else the third.
    """
    writings = [_written(writing) for writing in name.split("=")[:3]]
    drawn = [writing for writing in writings if writing and whole(writing)]
    if not drawn:
        return NOT_SHOWN if name.strip("=^ ") else ""
    first, *others = (unicodedata.normalize("NFC", writing) for writing in drawn)
    ideographs = next((other for other in others if other == writings[1] != first), "")
    return f"{first} ({ideographs})" if ideographs else first


def _written(writing: str) -> str:
    """One writing of a name in one line; ideographs without a comma, as they are written."""
    family, *others = writing.strip().split("^")
    given, middle, prefix, suffix = ([part.strip() for part in others] + [""] * 4)[:4]
    first = " ".join(part for part in (prefix, given, middle) if part)
    comma = " " if any(unicodedata.name(character, "").startswith(_EAST_ASIAN) for character in family) else ", "
    return comma.join(part for part in (family.strip(), first, suffix) if part)
