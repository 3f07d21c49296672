"""The settings that the pages use: those of the last configuration that was read and is valid."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.settings.settings import Settings

CHECK_INTERVAL_S = 0.2


class CurrentSettings:
    """Call it for the settings in use. `follow` replaces them after ``dicom-node reload`` or SIGHUP.

    What cannot be used without a restart stays as it was (`core.settings.reload`).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self) -> Settings:
        """Return the settings in use."""
        return self._settings

    @contextmanager
    def follow(self, take_change: Callable[[], Settings | None]) -> Iterator[None]:
        """Take changed settings over while the block runs. ``take_change`` returns them, None where nothing has changed."""
        ended = threading.Event()

        def take() -> None:
            while not ended.wait(CHECK_INTERVAL_S):
                changed = take_change()
                if changed is not None:
                    self._settings = changed

        thread = threading.Thread(target=take, name="console-settings")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
