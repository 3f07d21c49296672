"""Trainings of the tests compute in float32, and draw few bootstrap samples."""

import contextlib
from collections.abc import Iterator

import pytest
import torch

from training import bootstrap


@pytest.fixture(scope="session", autouse=True)
def float32() -> Iterator[None]:
    """Switch autocast off: a processor without bfloat16 instructions emulates them, which takes 20 times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        yield


@pytest.fixture(scope="session", autouse=True)
def few_bootstrap_samples() -> Iterator[None]:
    """Draw 20 samples instead of 500: no test of a training reads how wide its intervals are (test_bootstrap.py gives its own number)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 20)
        yield
