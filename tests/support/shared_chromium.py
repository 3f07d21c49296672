"""One Chromium for all modules that run in a process of the suite: a start takes several seconds of processor time."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def chromium_of_process() -> "Iterator[tuple[Browser, AbstractEventLoop]]":
    """Chromium, and the event loop of Playwright, which counts as running in this thread for as long as Playwright is used."""
    from tests.support.chromium import headless_chromium  # pytest's first process reads this file and runs no test

    with headless_chromium() as browser:
        loop = asyncio.get_running_loop()
        yield browser, loop
        asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def chromium(chromium_of_process: "tuple[Browser, AbstractEventLoop]") -> "Iterator[Browser]":
    """Chromium for the tests of a module. Each takes a page of its own, whose cookies no other page has; at the end all are closed.

    In other modules no loop counts as running, so that their tests can use asyncio.
    """
    browser, loop = chromium_of_process
    asyncio._set_running_loop(loop)
    yield browser
    for context in browser.contexts:
        context.close()
    asyncio._set_running_loop(None)
