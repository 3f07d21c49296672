"""Archives that are damaged or made to harm, opened as the child process of uploads opens them."""

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import CannotUnderstand
from dicom_node.upload import conversions

LIMIT = 1 << 20
JPEG = b"\xff\xd8\xff" + bytes(200)
CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"


@pytest.fixture(autouse=True)
def closed(tmp_path: Path) -> Iterator[None]:
    """No archive is open before and after."""
    conversions.close_archive(tmp_path)
    yield
    conversions.close_archive(tmp_path)


def _archive(*names: str) -> bytearray:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, JPEG)
    return bytearray(out.getvalue())


def _in_list(content: bytearray, name: bytes) -> int:
    """Return where the entry of this name begins in the list at the end of the archive (PKWARE APPNOTE 4.3.12)."""
    return content.rindex(name, 0, content.rindex(END)) - 46


def _open_all(path: Path, content: bytes) -> dict[str, str]:
    """Return the problem of each entry by its name; "" where it was extracted."""
    path.write_bytes(content)
    listed = conversions.list_archive(path, max_bytes=LIMIT)
    found = dict(listed["problems"])
    for number in listed["entries"]:
        entry = conversions.extract_entry(path, number=number, target=str(path.with_suffix(".out")), max_bytes=LIMIT)
        found[entry["name"]] = entry["problem"]
    return found


def test_a_damaged_entry_is_named_and_the_others_are_extracted(tmp_path: Path) -> None:
    content = _archive("good.jpg", "text.jpg", "ABCDEFGH", "size.jpg", "last.jpg")
    local = content.index(b"text.jpg")
    content[local] = 0xFF
    for flags in (local - 24, _in_list(content, b"text.jpg") + 8):  # of the entry itself, and in the list: the name is UTF-8
        struct.pack_into("<H", content, flags, 0x800)
    nameless = _in_list(content, b"ABCDEFGH")
    struct.pack_into("<2H", content, nameless + 28, 0, 8)  # what was the name is an extra field
    content[nameless + 46 : nameless + 54] = b"ab\x04\x00wxyz"
    struct.pack_into("<I", content, _in_list(content, b"size.jpg") + 24, 5)
    found = _open_all(tmp_path / "a.zip", content)
    assert found == {
        "good.jpg": "",
        "text.jpg": "damaged in the archive (UnicodeDecodeError)",
        "": "it has no name",
        "size.jpg": "damaged in the archive (BadZipFile)",
        "last.jpg": "",
    }


def test_places_before_the_beginning_of_the_archive_are_no_failure(tmp_path: Path) -> None:
    content = _archive("a.jpg")
    struct.pack_into("<I", content, content.rindex(END) + 16, len(content) * 2)
    assert _open_all(tmp_path / "a.zip", content) == {"a.jpg": "damaged in the archive (BadZipFile)"}


def test_the_list_of_an_archive_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    class Counted(zipfile.ZipFile):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    path = tmp_path / "a.zip"
    content, later = (bytes(_archive(*names)) for names in ([f"{number}.jpg" for number in range(20)], ["later.jpg"]))
    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    assert set(_open_all(path, content).values()) == {""}
    assert opened == [path], "20 entries, one reading of the list: with thousands of entries it takes longer than extracting one"
    other = tmp_path / "b.zip"
    assert _open_all(other, content)
    assert opened == [path, other]
    conversions.close_archive(other)
    assert _open_all(other, later) == {"later.jpg": ""}


def test_names_and_refusals_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_archive(*(f"../{number}{'x' * 5000}" for number in range(150))))
    listed = conversions.list_archive(path, max_bytes=LIMIT)
    assert (listed["entries"], len(listed["problems"])) == ([], conversions.MOST_PROBLEMS)
    assert max(len(name) for name, _ in listed["problems"]) == conversions.LONGEST_NAME


def test_many_names_for_the_same_bytes_count_as_many_files(tmp_path: Path) -> None:
    content = _archive("a.jpg")
    begin, end = content.index(CENTRAL), content.rindex(END)
    repeated = content[begin:end] * 10_000
    tail = struct.pack("<4s4H2LH", END, 0, 0, 10_000, 10_000, len(repeated), begin, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(content[:begin] + repeated + tail)
    with pytest.raises(CannotUnderstand, match="unpacks to 1 MB"):
        conversions.list_archive(path, max_bytes=LIMIT)
