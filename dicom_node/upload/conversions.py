"""What the child process does: a photograph to DICOM, the list of an archive, one entry of an archive to a file."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import CannotUnderstand, system_error_of
from imaging.headers.identity import Identity
from imaging.photograph.camera_file import PhotographPlace, photograph_from_file
from imaging.photograph.file_kind import HEAD_BYTES, FileKind, kind_of, mismatch
from imaging.photograph.skin_regions import skin_regions

MOST_ENTRIES = 20_000
SUSPICIOUS_BYTES, SUSPICIOUS_RATIO = 64 << 20, 200  # CT series compress to a half or a quarter, empty images to a hundredth
_PIECE_BYTES = 1 << 20
LONGEST_NAME, MOST_PROBLEMS = 300, 100  # of what is repeated of an archive: the format allows names of 64 KiB
# What zipfile raises for damaged archives; ValueError where a name is not the UTF-8 that it claims to be.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, IndexError, ValueError, NotImplementedError, RuntimeError)
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IGNORED = ("dicomdir", "thumbs.db", "desktop.ini")


def convert_photograph(path: Path, *, target: str, identity: Mapping[str, str], place: Mapping[str, Any]) -> dict[str, Any]:
    """Write a DICOM photograph of an image file to ``target``. ``place`` holds the other fields of `PhotographPlace`."""
    given = {**place, "region": skin_regions().get(place["region"])}
    made = photograph_from_file(path, PhotographPlace(Identity(**identity), **given))
    made.save_as(target, enforce_file_format=True)
    return {}


def list_archive(path: Path, *, max_bytes: int) -> dict[str, Any]:
    """Return the numbers of the entries to extract, and name and reason of each entry that is refused unseen.

    Raises
    ------
    CannotUnderstand
        The archive is damaged, has too many entries, or would unpack to too many bytes.
    """
    entries = _open(path).infolist()
    if len(entries) > MOST_ENTRIES:
        raise CannotUnderstand(f"the archive has {len(entries)} entries, and at most {MOST_ENTRIES} are allowed")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max_bytes:
        raise CannotUnderstand(f"the archive unpacks to {unpacked >> 20} MB, and at most {max_bytes >> 20} MB are allowed")
    if unpacked > SUSPICIOUS_BYTES and unpacked > SUSPICIOUS_RATIO * path.stat().st_size:
        raise CannotUnderstand(f"the archive unpacks to {unpacked // path.stat().st_size} times its size: it is not opened")
    wanted, problems = [], []
    for number, entry in enumerate(entries):
        if _is_ignored(entry):
            continue
        reason = _refusal(entry)
        if reason:
            problems.append((entry.filename[:LONGEST_NAME], reason))
        else:
            wanted.append(number)
    return {"entries": wanted, "problems": problems[:MOST_PROBLEMS]}


def extract_entry(path: Path, *, number: int, target: str, max_bytes: int) -> dict[str, Any]:
    """Write one entry to ``target``; return its name and kind. An entry that is not what its name says is refused."""
    archive = _open(path)
    entry = archive.infolist()[number]
    name = entry.filename[:LONGEST_NAME]
    try:
        head = _copy(archive, entry, Path(target), max_bytes)
    except _DAMAGED as error:
        return {"name": name, "problem": f"damaged in the archive ({type(error).__name__})"}
    except CannotUnderstand as error:
        return {"name": name, "problem": str(error)}
    kind = kind_of(head)
    problem = "an archive within an archive is not opened: unpack it first" if kind is FileKind.ZIP else mismatch(entry.filename, head)
    return {"name": name, "kind": kind.value, "problem": problem}


_opened: dict[tuple[str, int, int, int], zipfile.ZipFile] = {}
"""The archive of the last request: reading the list of one with thousands of entries takes longer than extracting one of them."""


def _open(path: Path) -> zipfile.ZipFile:
    """Return the archive. It stays open until it is closed, or another one is opened."""
    status = path.stat()
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _opened:
        close_archive(path)
        try:
            _opened[key] = zipfile.ZipFile(path)
        except (*_DAMAGED, OSError) as error:
            raise CannotUnderstand("the zip archive is damaged or cut short") from error
    return _opened[key]


def close_archive(path: Path) -> dict[str, Any]:
    """Close the archive that is open, so that its bytes leave the disk with the file. There is one at most, and ``path`` is that one."""
    for archive in _opened.values():
        archive.close()
    _opened.clear()
    return {}


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, max_bytes: int) -> bytes:
    """Write an entry; return its first bytes. The size in the archive's list is not trusted."""
    head, written = b"", 0
    try:
        opened = archive.open(entry)
    except OSError as error:
        if system_error_of(error) is not None:
            raise
        raise zipfile.BadZipFile from error  # its place in the archive is none
    with opened as source, target.open("wb") as out:
        while piece := source.read(_PIECE_BYTES):
            head = head or piece[:HEAD_BYTES]
            written += len(piece)
            if written > max_bytes:
                raise CannotUnderstand(f"unpacks to more than {max_bytes >> 20} MB")
            out.write(piece)
    return head


def _is_ignored(entry: zipfile.ZipInfo) -> bool:
    """Folders, and what operating systems and media leave behind."""
    name = PurePosixPath(entry.filename).name.lower()
    return entry.filename.endswith("/") or entry.filename.startswith("__MACOSX/") or name.startswith(".") or name in _IGNORED


def _refusal(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if not name:
        return "it has no name"
    if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name or name[1:2] == ":" or not name.isprintable():
        return "its name points outside of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link, not a file"
    if entry.flag_bits & 1:
        return "it is protected by a password"
    if entry.compress_type not in _COMPRESSIONS:
        return "its compression is not supported: make the archive with the usual one (deflate)"
    return ""


REQUESTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "photograph": convert_photograph,
    "list": list_archive,
    "extract": extract_entry,
    "close": close_archive,
}
