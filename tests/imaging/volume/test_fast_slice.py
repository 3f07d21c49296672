"""The fast reader of slices returns what the tolerant reader returns, or None."""

import random
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from core.errors import NodeError
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.volume import ct_slices
from imaging.volume.ct_slices import CtSlice
from imaging.volume.fast_slice import read_plain_slice
from imaging.volume.pixel_source import PixelSource
from imaging.wire.tolerant_parser import read_with_pixel_location
from tests.fuzz.mutations import mutate
from tests.support.transcode import LOSSLESS, transcode


def agrees(path: Path) -> bool:
    """Whether the fast reader answered, after checking each field and the location of the pixels against the tolerant reader."""
    plain = read_plain_slice(path)
    if plain is None:
        return False
    fast = CtSlice(source=PixelSource(path, plain.spec, plain.location), frame=1, has_geometry=True, **plain.values)
    dataset, location = read_with_pixel_location(path)
    assert not ct_slices.is_secondary_capture(ct_slices._read_sop_class(dataset))
    (tolerant,) = ct_slices._read_slices_of(path, dataset, location)
    for one in fields(CtSlice):
        if one.name != "source":
            assert getattr(fast, one.name) == getattr(tolerant, one.name), one.name
    assert fast.source.spec == tolerant.source.spec
    assert location == plain.location
    return True


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("slices")
    plain = write_chest(folder, make_chest(1, slices=2, size=32, pixel_mm=8.0, diameters_mm=()))
    for name in LOSSLESS:
        transcode(dcmread(plain[0]), name).save_as(folder / f"{name}.dcm")
    return sorted(folder.iterdir())


def test_plain_slices_of_every_usual_syntax_are_read(slices: list[Path]) -> None:
    answered = {path.stem for path in slices if agrees(path)}
    assert {path.stem for path in slices} - answered == {"big_endian", "deflated"}


def test_real_files_are_read(data: Path) -> None:
    answered = [agrees(path) for path in sorted((data / "ct").rglob("*.dcm"))[::20]]
    assert sum(answered) > 0.9 * len(answered)
    for path in (data / "conformance").rglob("*.dcm"):
        agrees(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_both_readers_agree_on_damaged_files(slices: list[Path], tmp_path: Path, dice: random.Random) -> None:
    """What the fast reader reads of a damaged file, the tolerant reader reads too, and the same."""
    path = tmp_path / "damaged.dcm"
    path.write_bytes(mutate(dice.choice(slices).read_bytes(), dice))
    try:
        agrees(path)
    except NodeError:
        pytest.fail("read where the tolerant reader refuses")
