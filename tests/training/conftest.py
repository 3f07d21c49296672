"""Trainings of the tests compute in float32."""

import contextlib
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def float32() -> Iterator[None]:
    """Switch autocast off: a processor without bfloat16 instructions emulates them, which takes 20 times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
        yield
