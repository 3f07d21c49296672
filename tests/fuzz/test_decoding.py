"""Hostile files are read, or refused with one of the node's own errors, in every way that a worker reads a file.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` select another or a longer run: ``make fuzz SEED=7 N=10000``.
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
from tests.fuzz.hostile_datasets import EXPLICIT
from tests.fuzz.mutations import random_elements
from tests.support.series import CT

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "240")) // 2


@pytest.mark.timeout(7200)
def test_every_file_is_read_or_refused_with_a_reason() -> None:
    """In a process with a memory limit, which must not end: no codec may crash, no input may take long."""
    command = [sys.executable, "-m", "tests.fuzz.reading_process", str(SEED), "0", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"the process ended ({done.returncode}) at: {lines[-1:]}\n{done.stderr[-2000:]}"
    responses = [line.split(" ", 2)[2] for line in lines if line.startswith("end ")]
    assert len(responses) == COUNT
    assert [line for line in lines if "DEFECT" in line] == []
    assert [line for line in lines if " slow " in line] == []
    print(f"seed {SEED}: {COUNT} files; {Counter(responses)}")


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_random_elements(rng: object) -> None:
    """Any tags, any VRs, wrong lengths, nested items: Hypothesis finds the smallest input that raises another error."""
    content = encode_head(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT) + random_elements(rng)  # type: ignore[arg-type]
    for way in (read_header, lambda stream: read_route_values(read_dataset(stream)), _iterate_all):
        with suppress(CannotUnderstand):
            way(io.BytesIO(content))


def _iterate_all(stream: object) -> None:
    """Iterate over the readable elements of a data set, to its last item."""
    notes: list[str] = []
    with warnings_as_notes(notes):
        dataset = drop_unreadable_elements(read_dataset(stream), notes)  # type: ignore[arg-type]
        assert len(list(dataset.iterall())) >= 0
