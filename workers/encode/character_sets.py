"""Character sets that results are written in (PS3.3 C.12.1.1.2)."""

from dataclasses import dataclass

from pydicom.charset import python_encoding

UTF8 = "ISO_IR 192"
# Single-valued character sets without code extensions, each of which is one Python codec. Sets with code extensions (ISO 2022 ...)
# mix several codecs and escapes, which readers decode differently; all readers decode UTF-8.
WRITABLE_SETS = frozenset({
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
    "ISO_IR 148", "ISO_IR 166", "GB18030", "GBK", UTF8,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """``name``: Specific Character Set, "" for ASCII, which is not declared. ``codec``: Python's name of it."""

    name: str
    codec: str

    def encode(self, text: str) -> bytes:
        """Encode text. UTF-8 replaces lone surrogates, which are not characters, by "?".

        Raises
        ------
        UnicodeError
            The character set lacks a character of the text.
        """
        if text.isascii():
            return text.encode("ascii")
        return text.encode(self.codec, "replace" if self.name == UTF8 else "strict")


def choose_character_sets(source: tuple[str, ...]) -> tuple[CharacterSet, ...]:
    """The character sets to try in order: the source's if it is writable, then UTF-8, which has every character.

    ``source``: the values of the source's Specific Character Set.
    """
    utf_8 = CharacterSet(UTF8, "utf-8")
    if source in ((), ("",), ("ISO_IR 6",)):
        return CharacterSet("", "ascii"), utf_8
    if len(source) != 1 or source[0] not in WRITABLE_SETS:
        return (utf_8,)
    return CharacterSet(source[0], python_encoding[source[0]]), utf_8
