"""Character set, time zone and dates of a result."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from pydicom.charset import python_encoding

from core.errors import EncodingError

UTF8 = "ISO_IR 192"
# Single-valued sets without code extensions whose every character is one code of a Python codec. With code extensions
# (ISO 2022 ...) several codecs and escapes are mixed; readers differ in them, and everyone reads UTF-8.
WRITABLE = frozenset({
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
    "ISO_IR 148", "ISO_IR 166", "GB18030", "GBK", UTF8,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """``name``: Specific Character Set, "" for ASCII, where the element is left out; ``codec``: Python's name of it."""

    name: str
    codec: str

    def encode(self, text: str) -> bytes:
        """Raises UnicodeError where it has not every character; UTF-8 puts "?" for half a surrogate pair, which is no character."""
        if text.isascii():
            return text.encode("ascii")
        return text.encode(self.codec, "replace" if self.name == UTF8 else "strict")


def character_sets(wanted: tuple[str, ...]) -> tuple[CharacterSet, ...]:
    """The source's character set where we write it; UTF-8 for the texts that it cannot hold."""
    everything = CharacterSet(UTF8, "utf-8")
    if wanted in ((), ("",), ("ISO_IR 6",)):
        return CharacterSet("", "ascii"), everything
    if len(wanted) != 1 or wanted[0] not in WRITABLE:
        return (everything,)
    return CharacterSet(wanted[0], python_encoding[wanted[0]]), everything


def zone_of(name: str) -> tzinfo | None:
    """ "+0100" or an IANA name as a time zone; None for "".

    Raises
    ------
    EncodingError
        Neither of the two.
    """
    if not name:
        return None
    if name[0] in "+-" and len(name) == 5 and name[1:].isdigit():
        minutes = int(name[1:3]) * 60 + int(name[3:])
        return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise EncodingError(
            f"node.timezone is {name!r}, which is no time zone", hint="give +0100 or a name such as Europe/Berlin"
        ) from error


def local_time(at: datetime, source_zone: str, setting: str) -> tuple[str, str, str]:
    """(date, time, offset) in DICOM's form: the source's offset, else the setting's; else UTC with the offset left out.

    An offset applies to every date and time of the object, the study's included (PS3.3 C.12.1.1.8), so none is made up.
    """
    if at.tzinfo is None:
        raise EncodingError("a time without time zone cannot be written")
    zone = zone_of(source_zone or setting)
    local = at.astimezone(zone if zone is not None else UTC)
    offset = local.strftime("%z")[:5] if zone is not None else ""
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S.%f"), offset
