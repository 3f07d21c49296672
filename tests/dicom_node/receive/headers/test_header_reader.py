"""Headers that cost much are read in child processes, with the same result; the listener's own threads do little of that work."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from core.errors import OverBudget
from core.policy.admission import WHOLE_SLIDE
from dicom_node.line_process.parent import LineProcess
from dicom_node.receive.headers import item_count
from dicom_node.receive.headers.header_reader import CHILDREN, HeaderReader
from imaging.headers.instance_header import read_header
from imaging.limits.work_budget import MAX_ITEMS, QUICK, WorkBudget
from imaging.wire.part10 import data_set_offset
from tests.fuzz.costly_datasets import EMPTY_ITEM, SEQUENCE_END, costly_datasets, file_of
from tests.fuzz.seed_files import Seed
from tests.support.multi_frame import ULTRASOUND_LOOP
from tests.support.series import encoded, image
from tests.support.slides import sparse_file

MOST_MEMORY_BYTES = 64 << 20
SIDE = 101  # of a slide in tiles, which have three items each: more than MAX_ITEMS
MORE = 1  # the count at which a limit refuses is one more than it allows


@cache
def costly() -> dict[str, tuple[Seed, str]]:
    """Every data set by its name, with the tag that the refusal names."""
    return {seed.name: (seed, tag) for seed, tag in costly_datasets(0.2)}


@pytest.fixture(scope="module")
def reader() -> Iterator[HeaderReader]:
    made = HeaderReader()
    yield made
    made.close()


@pytest.fixture
def done_here(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What is counted in this process: elements, items and values."""
    counts: Counter[str] = Counter()
    add_element, add_item, add_value = WorkBudget.add_element, WorkBudget.add_item, WorkBudget.add_value

    def counted_element(self: WorkBudget) -> None:
        counts["elements"] += 1
        add_element(self)

    def counted_item(self: WorkBudget) -> None:
        counts["items"] += 1
        add_item(self)

    def counted_value(self: WorkBudget, vr: str, value: bytes | None) -> None:
        add_value(self, vr, value)  # raises in front of the decoding of a value that is over the limit
        counts["bytes"] += 0 if vr == "SQ" else len(value or b"")

    monkeypatch.setattr(WorkBudget, "add_element", counted_element)
    monkeypatch.setattr(WorkBudget, "add_item", counted_item)
    monkeypatch.setattr(WorkBudget, "add_value", counted_value)
    return counts


def file_with_items(count: int) -> Seed:
    """A sequence of empty items of undefined length, after the elements of a CT slice with text beyond ASCII: it is not plain."""
    content = encoded(image(side=8, PixelData=None, SpecificCharacterSet="ISO_IR 100", PatientName="Müller"))
    head = content[data_set_offset(content) :]
    plain = costly()["deflated empty items"][0]
    items = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff" + EMPTY_ITEM * count + SEQUENCE_END
    pixel_data = b"\xe0\x7f\x10\x00OW\0\0\x02\0\0\0\0\0"
    return Seed("items", plain.sop_class, plain.sop_instance, "1.2.840.10008.1.2.1", head + items + pixel_data)


def written(seed: Seed, folder: Path) -> Path:
    path = folder / "instance.dcm"
    path.write_bytes(file_of(seed))
    return path


@pytest.mark.parametrize("name", [seed.name for seed, tag in costly_datasets(0) if tag])
def test_a_costly_file_is_refused_with_the_same_reason_and_little_work_here(
    name: str, reader: HeaderReader, tmp_path: Path, done_here: Counter[str]
) -> None:
    seed, tag = costly()[name]
    with pytest.raises(OverBudget) as refused:
        reader.read(str(written(seed, tmp_path)))
    assert done_here["elements"] <= QUICK.elements + MORE
    assert done_here["items"] <= QUICK.items + MORE
    assert done_here["bytes"] <= QUICK.text_bytes + 2 * QUICK.numbers
    assert tag in str(refused.value)
    assert refused.value.status == 0xC000


def test_a_large_file_within_the_limits_is_read_in_a_child(reader: HeaderReader, tmp_path: Path, done_here: Counter[str]) -> None:
    """The child takes at most 64 MiB beyond the file for it, and gives them back."""
    (tmp_path / "small").mkdir()
    small, path = written(file_with_items(QUICK.items + 1), tmp_path / "small"), written(file_with_items(MAX_ITEMS), tmp_path)
    reader.read(small)
    done_here.clear()
    before = _memory_of_children("VmRSS")
    header = reader.read(path)
    assert done_here["items"] <= QUICK.items + MORE
    assert header == read_header(path)
    assert header.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    reader.read(small)  # answered when everything of the request before is given back
    assert _memory_of_children("VmHWM") <= before + path.stat().st_size + MOST_MEMORY_BYTES
    assert _memory_of_children("VmRSS") <= before + MOST_MEMORY_BYTES // 4


def test_too_many_items_are_refused_without_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And as many as are allowed are not, wherever the pieces of the file that are counted begin."""
    path = tmp_path / "instance.dcm"
    path.write_bytes(bytes(5) + EMPTY_ITEM * MAX_ITEMS + b"\xe0\x7f\x10\x00" + EMPTY_ITEM * 10)
    monkeypatch.setattr(item_count, "_PIECE_BYTES", 1001)
    assert not item_count.has_too_many_items(path)
    path.write_bytes(bytes(5) + EMPTY_ITEM * (MAX_ITEMS + 1))
    assert item_count.has_too_many_items(path)
    monkeypatch.setattr(LineProcess, "ask", lambda *_: pytest.fail("a child was asked"))
    for name in ("empty items", "deflated empty items"):
        with pytest.raises(OverBudget, match=f"more than {MAX_ITEMS} items of sequences at element.*40,A730"):
            HeaderReader().read(str(written(costly()[name][0], tmp_path)))


def test_too_many_values_are_refused_without_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineProcess, "ask", lambda *_: pytest.fail("a child was asked"))
    for name in ("backslashes in PatientName", "components in PatientName", "escapes in PatientName", "numbers in Rows"):
        with pytest.raises(OverBudget, match=r"more than .* at element"):
            HeaderReader().read(str(written(costly()[name][0], tmp_path)))


def test_a_header_that_costs_little_is_read_here(reader: HeaderReader, tmp_path: Path, done_here: Counter[str]) -> None:
    """Text beyond ASCII is enough for the tolerant reader."""
    content = encoded(image(side=8, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen"))
    path = tmp_path / "instance.dcm"
    path.write_bytes(content)
    assert reader.read(path).patient_name == "Müller^Jürgen"
    assert done_here["elements"] > 0


def test_a_child_that_was_killed_is_started_again(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(file_with_items(QUICK.items + 1), tmp_path)
    before = reader.read(path)
    killed = _children_of(os.getpid())
    assert killed, "it is read in a child"
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert reader.read(path) == before
    started = _children_of(os.getpid())
    assert 0 < len(started) <= CHILDREN
    assert not {*started} & {*killed}


def _memory_of_children(name: str) -> int:
    """The largest of this value among the children, in bytes (proc(5), status)."""
    lines = [line for pid in _children_of(os.getpid()) for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


def _children_of(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:
            continue
        if b"dicom_node.receive.headers.header_process" in command and int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(folder.name))
    return found


def test_a_whole_slide_with_many_tiles_is_read_in_a_child(reader: HeaderReader, tmp_path: Path, done_here: Counter[str]) -> None:
    """Its functional groups are passed and not parsed; another SOP class with as many is refused."""
    path = tmp_path / "slide.dcm"
    path.write_bytes(sparse_file(SIDE, undefined=True))
    header = reader.read(path)
    assert (header.sop_class_uid, header.number_of_frames) == (WHOLE_SLIDE, SIDE * SIDE)
    assert done_here["items"] <= QUICK.items + MORE
    path.write_bytes(sparse_file(SIDE, undefined=True, sop_class=ULTRASOUND_LOOP))
    with pytest.raises(OverBudget, match=f"more than {MAX_ITEMS} items of sequences"):
        reader.read(path)
