"""The quick reader of slices agrees with the tolerant one, or says nothing."""

import random
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from core.errors import NodeError
from deploy.demo.synthetic.chest import make_chest, write_chest
from imaging.volume import frames
from imaging.volume.fast_slice import quick_slice
from imaging.volume.frames import Slice, Source
from imaging.wire.tolerant_parser import locate
from tests.fuzz.mutate import damaged
from tests.support.transcode import LOSSLESS, transcode


def agrees(path: Path) -> bool:
    """Whether the quick one answered; the tolerant one must have the same slice, in every field and in its pixels' place."""
    plain = quick_slice(path)
    if plain is None:
        return False
    quick = Slice(source=Source(path, plain.spec, plain.place), frame=1, placed=True, **plain.values)
    dataset, place = locate(path)
    assert not frames.is_secondary_capture(frames._sop_class(dataset))
    (tolerant,) = frames._slices(path, dataset, place)
    for one in fields(Slice):
        if one.name != "source":
            assert getattr(quick, one.name) == getattr(tolerant, one.name), one.name
    assert quick.source.spec == tolerant.source.spec
    assert place == plain.place
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


def test_every_file_at_hand(data: Path) -> None:
    answered = [agrees(path) for path in sorted((data / "ct").rglob("*.dcm"))[::20]]
    assert sum(answered) > 0.9 * len(answered)
    for path in (data / "conformance").rglob("*.dcm"):
        agrees(path)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_damage_never_makes_them_differ(slices: list[Path], tmp_path: Path, dice: random.Random) -> None:
    """What the quick one reads of a damaged file, the tolerant one reads too and the same."""
    path = tmp_path / "damaged.dcm"
    path.write_bytes(damaged(dice.choice(slices).read_bytes(), dice))
    try:
        agrees(path)
    except NodeError:
        pytest.fail("read where the tolerant reader refuses")
