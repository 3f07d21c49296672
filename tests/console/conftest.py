"""Consoles of these tests fork their render processes, instead of starting a program that imports its libraries each time."""

import atexit
from collections.abc import Iterator
from functools import cache

import pytest

from console.viewer import render_pool
from tests.support.forks import Fork, ForkServer

RENDER = f"import os; from console.viewer.render_process import run; os.nice({render_pool.NICE}); run()"


@cache
def _fork_server() -> ForkServer:
    server = ForkServer("console.viewer.render_process")
    atexit.register(server.close)
    return server


def start_render_fork() -> Fork:
    """As `console.viewer.render_pool.start_process`."""
    return _fork_server().start(RENDER)


@pytest.fixture(scope="module", autouse=True)
def forked_render_processes() -> Iterator[None]:
    """`tests/console/viewer/test_pixels.py` starts the program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_pool, "start_process", start_render_fork)
        yield
