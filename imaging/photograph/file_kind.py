"""Determines the kind of a file that a person has given, by its first bytes, and compares it with the ending of its name."""

from enum import StrEnum

HEAD_BYTES = 132


class FileKind(StrEnum):
    """What a file is by its content."""

    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    ZIP = "zip archive"
    OTHER = ""

    @property
    def is_image(self) -> bool:
        """Whether this is a camera's image file."""
        return self in (FileKind.JPEG, FileKind.PNG, FileKind.TIFF)


_MAGIC = (
    (b"\xff\xd8\xff", FileKind.JPEG),
    (b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (b"II*\0", FileKind.TIFF),
    (b"MM\0*", FileKind.TIFF),
    (b"PK\x03\x04", FileKind.ZIP),
    (b"PK\x05\x06", FileKind.ZIP),
)
_ENDINGS = {
    "jpg": FileKind.JPEG, "jpeg": FileKind.JPEG, "png": FileKind.PNG, "tif": FileKind.TIFF, "tiff": FileKind.TIFF,
    "zip": FileKind.ZIP, "dcm": FileKind.DICOM, "dicom": FileKind.DICOM,
}  # fmt: skip


def kind_of(head: bytes) -> FileKind:
    """Return the kind of a file that begins with ``head``, its first `HEAD_BYTES` bytes or more."""
    if head[128:132] == b"DICM":  # PS3.10 7.1: the preamble before it may hold anything, also the head of a TIFF file
        return FileKind.DICOM
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), FileKind.OTHER)


def kind_named(name: str) -> FileKind:
    """Return the kind to which the ending of a file name belongs; OTHER where it belongs to none."""
    return _ENDINGS.get(name.rpartition(".")[2].lower(), FileKind.OTHER) if "." in name else FileKind.OTHER


def mismatch(name: str, head: bytes) -> str:
    """Return in words why a file is not what is expected of an upload: of an unknown kind, or mislabelled; "" where it is."""
    kind, named = kind_of(head), kind_named(name)
    if kind is FileKind.OTHER:
        if not head:
            return "the file is empty"
        return f"named as {named}, but its content is not {named}" if named else "neither DICOM nor JPEG, PNG, TIFF or a zip archive"
    if named not in (FileKind.OTHER, kind):
        return f"named as {named}, but its content is {kind}: give it the right ending"
    return ""
