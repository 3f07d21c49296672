"""Hostile files through everything that a worker does before its model: whatever they hold, the answer is an error that says so.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` make it another and longer: ``make fuzz SEED=7 N=10000``.
"""

import io
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CannotUnderstand
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.headers.unreadable_elements import drop_unreadable_elements
from imaging.wire.notes import warnings_as_notes
from imaging.wire.part10 import encode_head
from imaging.wire.tolerant_parser import read_dataset
from tests.fuzz.datasets import EXPLICIT
from tests.fuzz.mutate import elements
from tests.support.series import CT

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "400")) // 2


@pytest.mark.timeout(7200)
def test_every_file_is_read_or_refused_in_words() -> None:
    """In a child with a limit of memory, which must live to the end: no codec may crash, no input may take long."""
    command = [sys.executable, "-m", "tests.fuzz.child", str(SEED), "0", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"the child died ({done.returncode}) at: {lines[-1:]}\n{done.stderr[-2000:]}"
    endings = [line.split(" ", 2)[2] for line in lines if line.startswith("end ")]
    assert len(endings) == COUNT
    assert [line for line in lines if "DEFECT" in line] == []
    assert [line for line in lines if " slow " in line] == []
    print(f"seed {SEED}: {COUNT} files; {Counter(endings)}")


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_elements_that_only_look_like_dicom(dice: object) -> None:
    """Any tags, any VRs, lengths that lie, items in items: hypothesis finds the smallest that is answered with anything else."""
    content = encode_head(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT) + elements(dice)  # type: ignore[arg-type]
    for way in (read_header, lambda stream: read_route_values(read_dataset(stream)), _through):
        with suppress(CannotUnderstand):
            way(io.BytesIO(content))


def _through(stream: object) -> None:
    """What is left of a data set can be gone through to its last item."""
    notes: list[str] = []
    with warnings_as_notes(notes):
        dataset = drop_unreadable_elements(read_dataset(stream), notes)  # type: ignore[arg-type]
        assert len(list(dataset.iterall())) >= 0
