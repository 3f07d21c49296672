"""Which text the page's typefaces can draw correctly, and what replaces the rest.

Scripts that are written from right to left or whose letters join need shaping, which reportlab does not do. Chinese, Japanese and
Korean use a second typeface if one is installed. A name that cannot be drawn correctly is not drawn: a wrong name would be worse.
"""

import unicodedata
from enum import Enum
from functools import cache
from pathlib import Path

from PIL import ImageFont

from workers.encode.pictures.fonts import east_asian_font_path, font_path

NOT_SHOWN = "(not shown: in characters that this page cannot draw)"
GAP = "(…)"
_SAMPLE_PX = 32
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_EAST_ASIAN = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL SYLLABLE", "IDEOGRAPHIC ")


class Typeface(Enum):
    """Which typeface draws a character."""

    DEJAVU = "dejavu"
    EAST_ASIAN = "east asian"


@cache
def _load_font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), _SAMPLE_PX, layout_engine=ImageFont.Layout.BASIC)


@cache
def _missing_glyph(path: Path) -> bytes:
    """How a typeface draws a character that it does not have."""
    return bytes(_load_font(path).getmask("\U0010fffe"))


def _has_glyph(path: Path, character: str) -> bool:
    drawn = bytes(_load_font(path).getmask(character))
    return any(drawn) and drawn != _missing_glyph(path)


@cache
def typeface_of(character: str) -> Typeface | None:
    """The typeface that draws a character correctly; None if none does."""
    if character == " ":
        return Typeface.DEJAVU
    category = unicodedata.category(character)
    if category[0] in "CMZ" or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return None
    if _has_glyph(font_path(), character):
        return Typeface.DEJAVU
    other = east_asian_font_path()
    if other is not None and unicodedata.name(character, "").startswith(_EAST_ASIAN) and _has_glyph(other, character):
        return Typeface.EAST_ASIAN
    return None


def is_drawable(character: str) -> bool:
    """Whether a typeface draws the character correctly."""
    return typeface_of(character) is not None


def drawable_text(text: str) -> str:
    """The text in one line, with a gap for characters that cannot be drawn; `NOT_SHOWN` if nothing is left."""
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    parts: list[str] = []
    for character in normal:
        if is_drawable(character):
            parts.append(character)
        elif not parts or parts[-1] != GAP:
            parts.append(GAP)
    result = "".join(parts)
    return NOT_SHOWN if GAP in parts and not result.replace(GAP, "").strip(" ^=.,-") else result


def is_fully_drawable(text: str) -> bool:
    """Whether all of a text can be drawn."""
    return all(is_drawable(character) for character in " ".join(unicodedata.normalize("NFC", text).split()))


def drawable_identifier(text: str) -> str:
    """The identifier, or `NOT_SHOWN`: a part of it could be another identifier."""
    return text.strip() if is_fully_drawable(text) else NOT_SHOWN


def drawable_name(name: str) -> str:
    """A DICOM person name (PS3.5 6.2, PN) as "Family, Given", with the ideographic form in brackets if it can be drawn too.

    Of the up to three component groups (alphabetic, ideographic, phonetic) the first that can be fully drawn is used.
    """
    writings = [_format_writing(writing) for writing in name.split("=")[:3]]
    drawn = [writing for writing in writings if writing and is_fully_drawable(writing)]
    if not drawn:
        return NOT_SHOWN if name.strip("=^ ") else ""
    first, *others = (unicodedata.normalize("NFC", writing) for writing in drawn)
    ideographs = next((other for other in others if other == writings[1] != first), "")
    return f"{first} ({ideographs})" if ideographs else first


def _format_writing(writing: str) -> str:
    """One component group of a name in one line; ideographs without a comma, as is customary."""
    family, *others = writing.strip().split("^")
    given, middle, prefix, suffix = ([part.strip() for part in others] + [""] * 4)[:4]
    first = " ".join(part for part in (prefix, given, middle) if part)
    comma = " " if any(unicodedata.name(character, "").startswith(_EAST_ASIAN) for character in family) else ", "
    return comma.join(part for part in (family.strip(), first, suffix) if part)
