"""Character set, time zone and dates of a result."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from core.errors import EncodingError

UTF8 = "ISO_IR 192"
# Single-valued sets without code extensions whose every character is one code of a Python codec. With code extensions
# (ISO 2022 ...) several codecs and escapes are mixed; readers differ in them, and everyone reads UTF-8.
WRITABLE = frozenset({
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
    "ISO_IR 148", "ISO_IR 166", "GB18030", "GBK", UTF8,
})  # fmt: skip
_TEXT_VRS = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC"})


def texts(dataset: Dataset) -> Iterator[str]:
    """Every text value, sequences included, that the character set applies to (PS3.5 6.1.2.2)."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from texts(item)
        elif element.VR in _TEXT_VRS and element.value is not None:
            parts = element.value if isinstance(element.value, (MultiValue, list, tuple)) else [element.value]
            yield from (str(part) for part in parts)


def character_set(wanted: tuple[str, ...], dataset: Dataset) -> str:
    """The source's character set where it can hold every text of ``dataset``; else UTF-8. "" is ASCII."""
    if wanted in ((), ("",), ("ISO_IR 6",)):
        return "" if all(text.isascii() for text in texts(dataset)) else UTF8
    if len(wanted) != 1 or wanted[0] not in WRITABLE:
        return UTF8
    codec = python_encoding[wanted[0]]
    try:
        for text in texts(dataset):
            if text.encode(codec).decode(codec) != text:
                return UTF8
    except UnicodeError:
        return UTF8
    return wanted[0]


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
