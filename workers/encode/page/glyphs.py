"""Which text the page's typeface can draw as it is read, and what stands in the place of the rest.

Scripts that are written from right to left or whose letters join need shaping, which is not done here; Chinese, Japanese and
Korean are not in the typeface. A wrongly drawn name is worse than one that is said not to be shown.
"""

import unicodedata
from functools import cache

from PIL import ImageFont

from workers.encode.pictures.style import font_path

NOT_SHOWN = "(not shown: in characters that this page cannot draw)"
GAP = "(…)"
_SAMPLE_PX = 32
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


@cache
def _face() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_path()), _SAMPLE_PX, layout_engine=ImageFont.Layout.BASIC)


@cache
def _missing() -> bytes:
    """How the typeface draws what it does not have."""
    return bytes(_face().getmask("\U0010fffe"))


@cache
def drawable(character: str) -> bool:
    """Whether one character comes out as a reader expects it."""
    if character == " ":
        return True
    category = unicodedata.category(character)
    if category[0] in "CMZ" or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return False
    drawn = bytes(_face().getmask(character))
    return any(drawn) and drawn != _missing()


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
    """A DICOM person name (PS3.5 6.2, PN) as "Family, Given": of its up to three writings the first that can be drawn whole."""
    for writing in name.split("="):
        family, *others = writing.strip().split("^")
        given, middle, prefix, suffix = ([part.strip() for part in others] + [""] * 4)[:4]
        first = " ".join(part for part in (prefix, given, middle) if part)
        plain = ", ".join(part for part in (family.strip(), first, suffix) if part)
        if plain and whole(plain):
            return unicodedata.normalize("NFC", plain)
    return NOT_SHOWN if name.strip("=^ ") else ""
