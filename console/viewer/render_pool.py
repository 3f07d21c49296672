"""Starts render processes: at most ``processes`` at once, each for one unit, with a time limit; a spare one waits for the next unit.

The spare process has imported what it needs, so that the first slice of a series is there sooner.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import structlog

from console.viewer.render_cache import RenderCache
from console.viewer.rendered_unit import RenderedUnit
from core.settings.web.viewer import ViewerSection

MAX_WAITING = 32
SWEEP_S = 600.0
NICE = 5
OTHERS_AFTER_S = 0.5  # the other slices of a series are decoded then, where none of them was wanted before
COMMAND = (sys.executable, "-m", "console.viewer.render_process")
# No secret of the console is among them.
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")

log = structlog.get_logger(__name__)


class TooManyWaiting(Exception):
    """More units wait for a render process than are allowed."""


@dataclass(frozen=True, slots=True)
class RenderOrder:
    """What to decode. ``kind``: series, image or object; ``files``: path and SHA-256; ``first_uid``: the image that is wanted first."""

    name: str
    kind: str
    files: Sequence[tuple[Path, str]]
    first_uid: str = ""


class RenderPool:
    """The render processes of one console, and what they have decoded."""

    def __init__(self, section: ViewerSection, cache: RenderCache) -> None:
        self.cache = cache
        self._section = section
        self._threads = ThreadPoolExecutor(section.processes, thread_name_prefix="render")
        self._lock = threading.Lock()
        self._rendered: dict[str, RenderedUnit] = {}
        self._running: set[subprocess.Popen[str]] = set()
        self._spare: subprocess.Popen[str] | None = None
        self._waiting = 0
        self._numbers = count()
        self._closed = threading.Event()
        self._sweeper: threading.Thread | None = None

    def prepare(self, start: Callable[[], object] | None = None) -> None:
        """Get ready for a viewer that will probably be opened, behind the request: ``start`` its unit, or the process for it alone.

        A unit is started only where another process stays free for a viewer that is opened meanwhile.
        """
        with self._lock:
            free = self._waiting == 0 and self._section.processes > 1
        self._threads.submit(_without_errors, start if start is not None and free else self._start_spare)

    def find(self, name: str) -> RenderedUnit | None:
        """Return a rendered unit that was started or lies in the cache; None where there is none."""
        with self._lock:
            found = self._rendered.get(name)
        if found is not None and not found.finished:
            return found
        meta = self.cache.find(name)
        return None if meta is None else RenderedUnit(self.cache.path(name), meta)

    def start(self, order: RenderOrder) -> RenderedUnit:
        """Return the rendered unit of ``order``: from the cache, or the one that runs, or a new one.

        Raises
        ------
        TooManyWaiting
            Too many units wait already.
        """
        found = self.find(order.name)
        if found is not None and not found.failure:
            return found
        with self._lock:
            running = self._rendered.get(order.name)
            if running is not None and not running.failure:  # another request was faster
                return running
            if self._waiting >= MAX_WAITING:
                raise TooManyWaiting
            self._waiting += 1
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="viewer-cache", daemon=True)
                self._sweeper.start()
            rendered = self._rendered[order.name] = RenderedUnit(self.cache.path(order.name))
        self._threads.submit(self._run, order, rendered)
        return rendered

    def close(self) -> None:
        """End all processes."""
        self._closed.set()
        with self._lock:
            processes = [*self._running, *([self._spare] if self._spare else [])]
            self._spare = None
        for process in processes:
            _kill(process)
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in processes:
            _end(process)

    def _sweep(self) -> None:
        """Remove what was not displayed for `keep_s`, also while no further unit is opened."""
        while not self._closed.wait(min(SWEEP_S, self._section.keep_s)):
            self.cache.make_room(0)

    def _run(self, order: RenderOrder, rendered: RenderedUnit) -> None:
        try:
            made = self.cache.new_folder(order.name, next(self._numbers))
            rendered.folder = made
            self._carry_out(order, rendered, made)
        except Exception as error:
            log.error("render_failed", exception=type(error).__name__)
            words = error.strerror if isinstance(error, OSError) else type(error).__name__
            rendered.failure = rendered.failure or f"the render process could not be started: {words}"
        finally:
            with self._lock:
                self._waiting -= 1
                if rendered.finished:
                    self._rendered.pop(order.name, None)
            if rendered.failure:
                with suppress(OSError):
                    _remove(rendered.folder)

    def _carry_out(self, order: RenderOrder, rendered: RenderedUnit, made: Path) -> None:
        process = self._take_process()
        timer = threading.Timer(self._section.time_s, self._time_out, (process, rendered))
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            limits = {"memory_mib": self._section.memory_mib, "cpu_s": 2 * self._section.time_s, "file_bytes": self.cache.max_bytes}
            files = [[str(path), sha256] for path, sha256 in order.files]
            earlier = self.cache.find_earlier(order.name) if order.kind == "series" else None
            wanted = {"first_uid": order.first_uid, "others_after_s": OTHERS_AFTER_S, "earlier": str(earlier or "")}
            text = {"kind": order.kind, "files": files, "folder": str(made), **wanted, **limits}
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(text) + "\n")
                process.stdin.flush()
            rendered.want_others = partial(_go_on, process)
            for line in process.stdout:
                self._take_answer(json.loads(line), order, rendered, made)
            if not (rendered.finished or rendered.failure):
                rendered.failure = "the process that decodes the images ended without an answer; the images may be damaged"
        finally:
            rendered.want_others = lambda: None
            timer.cancel()
            _end(process)
            with self._lock:
                self._running.discard(process)
            self._start_spare()

    def _take_answer(self, answer: dict[str, object], order: RenderOrder, rendered: RenderedUnit, made: Path) -> None:
        if "slice" in answer:
            rendered.add_slice(int(str(answer["slice"])))
        elif "failed" in answer:
            rendered.failure = str(answer["failed"])
        else:
            meta = answer.get("planned") or answer.get("done")
            assert isinstance(meta, dict)
            if rendered.meta is None:
                self.cache.make_room(int(meta["bytes"]), made)
            if "done" in answer:
                self.cache.keep(made, order.name)
                rendered.folder = self.cache.path(order.name)
                rendered.finished = True
            rendered.meta = meta

    def _time_out(self, process: "subprocess.Popen[str]", rendered: RenderedUnit) -> None:
        rendered.failure = f"decoding took longer than the {self._section.time_s:g} s that console.viewer.time_s allows"
        _kill(process)

    def _take_process(self) -> "subprocess.Popen[str]":
        """Return the spare process, or a new one."""
        with self._lock:
            process, self._spare = self._spare, None
            if process is None or process.poll() is not None:
                process = start_process()
            self._running.add(process)
        return process

    def _start_spare(self) -> None:
        """Start the process for the next unit."""
        with self._lock:
            if self._spare is None and not self._closed.is_set():
                self._spare = start_process()


def _without_errors(action: Callable[[], object]) -> None:
    """Run an action that prepares a rendering; an error is logged, and shown when the viewer is opened."""
    try:
        action()
    except Exception as error:
        log.info("render_not_prepared", exception=type(error).__name__)


def start_process() -> "subprocess.Popen[str]":
    """Start a render process, which waits for its order on standard input."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    )
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)  # its imports, too, come after the pages and the browser
    return process


def _go_on(process: "subprocess.Popen[str]") -> None:
    """Tell a render process to decode the other slices too. It may have ended meanwhile."""
    assert process.stdin is not None
    with suppress(BrokenPipeError, ValueError):
        process.stdin.write("\n")
        process.stdin.flush()


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: "subprocess.Popen[str]") -> None:
    """Wait for the end of a process that has answered, or end it, and close its pipes."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
