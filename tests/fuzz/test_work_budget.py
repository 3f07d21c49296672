"""Small data sets that cost much to read are refused at a count, with a reason that names the element, in every reader."""

import io
import struct
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from pydicom.charset import convert_encodings

from core.errors import CannotUnderstand, OverBudget
from core.records import UnitInput
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.limits import work_budget as limits
from imaging.limits.work_budget import WorkBudget, work_budget
from imaging.wire.notes import warnings_as_notes
from imaging.wire.part10 import data_set_offset
from imaging.wire.tolerant_parser import read_dataset
from imaging.wire.tolerant_stream import LARGE_BYTES
from tests.fuzz.costly_datasets import costly_datasets, file_of
from tests.fuzz.seed_files import Seed
from tests.support.series import encoded, image
from workers.encode.source_images.source import read_source

REFUSED = [seed.name for seed, tag in costly_datasets(0) if tag]
MORE_OF_ALL = 1  # the count at which a limit refuses is one more than it allows; a value is counted as a whole before it is decoded


@cache
def costly() -> dict[str, tuple[Seed, str]]:
    """Every data set by its name, with the tag that the refusal names."""
    return {seed.name: (seed, tag) for seed, tag in costly_datasets()}


@pytest.mark.parametrize("name", REFUSED)
def test_the_listener_refuses_at_a_count_and_names_the_element(name: str, tmp_path: Path) -> None:
    seed, tag = costly()[name]
    path = tmp_path / "instance.dcm"
    path.write_bytes(file_of(seed))
    with work_budget() as budget, pytest.raises(OverBudget) as refused:
        read_header(path)
    assert refused.value.status == 0xC000
    assert tag in str(refused.value)
    assert budget.elements <= limits.MAX_ELEMENTS + MORE_OF_ALL
    assert budget.items <= limits.MAX_ITEMS + MORE_OF_ALL


@pytest.mark.parametrize("name", ["backslashes in PatientName", "components in PatientName", "numbers in Rows"])
def test_other_roles_leave_the_element_out(name: str, tmp_path: Path) -> None:
    """The listener reads some elements only. The conductor and the worker, which read all, go on without one that is over budget."""
    seed, _ = costly()[name]
    path = tmp_path / "instance.dcm"
    path.write_bytes(file_of(seed))
    values = read_route_values(read_dataset(path))
    assert values["Modality"] == "CT"
    assert not {"PatientName", "Rows"} <= set(values)
    assert read_source([UnitInput(seed.sop_instance, seed.sop_class, "0" * 64, str(path))]).modality == "CT"


def test_what_real_instances_have_is_within_the_limits() -> None:
    """A multi-frame image of 2,000 frames with 12 functional groups in each."""
    group = b"\x28\x00\x10\x91SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff\x18\x00\x50\x00DS\x02\x001 " + _ENDS
    frame = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + group * 12 + _ENDS[:8]
    content = encoded(image(side=8, PixelData=None))
    head = content[data_set_offset(content) :] + b"\x00\x52\x30\x92SQ\0\0\xff\xff\xff\xff"
    plain = costly()["deflated empty items"][0]
    frames = Seed("frames", plain.sop_class, plain.sop_instance, "1.2.840.10008.1.2.1", head + frame * 2000 + _ENDS[8:])
    with work_budget() as budget:
        assert read_header(io.BytesIO(file_of(frames))).modality == "CT"
    assert budget.items == 2000 * 13


_ENDS = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("name", ["punycode", "utf_7", "idna", "rot13", "unicode_escape", "ISO_IR 999"])
def test_only_defined_terms_select_a_codec(name: str) -> None:
    """PS3.3 C.12.1.1.2."""
    with warnings_as_notes([]):
        assert convert_encodings(name) == ["iso8859"]
        assert convert_encodings("ISO-IR 100") == convert_encodings("ISO_IR 100") == ["latin_1"]


def test_a_python_codec_is_not_used(tmp_path: Path) -> None:
    seed, _ = costly()["a Python codec"]
    path = tmp_path / "instance.dcm"
    path.write_bytes(file_of(seed))
    header = read_header(path)
    assert header.patient_name.startswith("ab-999")
    assert "text does not fit the declared character set" in header.tolerated


def test_reasons_hold_no_value() -> None:
    """A value of 8 bytes is read as the head of an element is; it must not be taken for its tag."""
    seed, _ = costly()["empty items"]
    birth_date = b"\x10\x00\x30\x00\x08\x00\x00\x0019700101"
    assert birth_date in seed.data_set
    content = seed.data_set[: seed.data_set.index(birth_date)] + birth_date
    nested = b"\x08\x00\x40\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    broken = Seed(
        "broken", seed.sop_class, seed.sop_instance, seed.syntax, content + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 8 + nested * 9000
    )
    with pytest.raises(OverBudget, match=r"nested too deep at element \(0008,1140\)"):
        read_header(io.BytesIO(file_of(broken)))
    budget = WorkBudget()
    budget.tag = 0x00100010
    assert str(budget.refuse("more")).startswith("a data set with more at element (0010,0010)")


class _Asked(io.BytesIO):
    """A file that keeps how many bytes were asked for at most."""

    most = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.most = max(self.most, size or 0)
        return super().read(size)


def test_no_more_is_asked_for_than_the_file_has() -> None:
    """Python allocates as much as it is asked to read: a length of 1.8 GB in a file of a few kB."""
    seed, _ = costly()["a Python codec"]
    stream = _Asked(file_of(seed) + struct.pack("<HHL", 0x7FE0, 0x0010, 0x70000000) + b"\0" * 100)
    with suppress(CannotUnderstand):
        read_dataset(stream, pixels=True)
    assert 0 < stream.most <= LARGE_BYTES


def test_a_slow_file_does_not_stop_other_threads() -> None:
    """While one thread is within the reading of a file, another reads files, and neither gets the notes of the other."""
    within, go_on = threading.Event(), threading.Event()
    notes: list[str] = []

    def read_slowly() -> None:
        with warnings_as_notes(notes):
            within.set()
            assert go_on.wait(600)

    slow = threading.Thread(target=read_slowly)
    slow.start()
    assert within.wait(600)
    seed, _ = costly()["a Python codec"]
    done: list[tuple[str, ...]] = []
    fast = threading.Thread(target=lambda: done.append(read_header(io.BytesIO(file_of(seed))).tolerated))
    fast.start()
    fast.join(600)
    go_on.set()
    slow.join(600)
    assert done
    assert notes == []
