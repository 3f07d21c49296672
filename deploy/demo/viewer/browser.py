"""Headless Chromium, driven through its DevTools protocol over two pipes: no port that others could reach, no driver to install."""

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.errors import StorageError
from deploy.local.child_process import dying_with_us

WIDTH_PX, HEIGHT_PX = 1600, 1000
ANSWER_TIMEOUT_S, STOP_TIMEOUT_S = 120.0, 10.0
# WebGL in software, and nothing that a browser does on its own account: no look at the network, no first-run pages.
FLAGS = (
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--disable-background-timer-throttling",
    "--disable-default-apps", "--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--mute-audio", "--hide-scrollbars",
    "--disable-features=Translate,OptimizationHints,MediaRouter", f"--window-size={WIDTH_PX},{HEIGHT_PX}", "--remote-debugging-pipe",
)  # fmt: skip
_AS_3_AND_4 = 'to=$1 from=$2; shift 2; exec "$@" 3<&$to 4>&$from'  # where Chromium reads commands and writes answers


def program() -> str | None:
    """Path of Chromium or Chrome; None where there is none."""
    return next((found for name in ("chromium", "google-chrome", "chromium-browser") if (found := shutil.which(name))), None)


class Browser:
    """One page of one headless browser, with a profile of its own in ``folder``.

    Raises
    ------
    StorageError
        From every method: Chromium ended, or did not answer in time.
    """

    def __init__(self, chromium: str, folder: Path) -> None:
        self._chromium, self._folder = chromium, folder
        self._numbers = itertools.count(1)
        self._received = b""
        self._session = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._to = self._from = -1
        self.console: list[str] = []

    def start(self) -> None:
        """Start it with an empty page."""
        self._folder.mkdir(parents=True, exist_ok=True)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        chromium = [self._chromium, *FLAGS, f"--user-data-dir={self._folder / 'profile'}", "about:blank"]
        command = [*dying_with_us(), "bash", "-c", _AS_3_AND_4, "bash", str(theirs_in), str(theirs_out), *chromium]
        with (self._folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out), start_new_session=True
            )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self._call("Target.createTarget", {"url": "about:blank"}, session=False)
        attached = self._call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}, session=False)
        self._session = attached["sessionId"]
        self._call("Page.enable")
        self._call("Runtime.enable")
        size = {"width": WIDTH_PX, "height": HEIGHT_PX, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", size)

    def before_each_page(self, script: str) -> None:
        """Run a script in every page from now on, before its own."""
        self._call("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def open(self, url: str) -> None:
        """Go to a page; returns before it is loaded."""
        self._call("Page.navigate", {"url": url})

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page, of a promise what it comes to; it has to be JSON."""
        answer = self._call("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            said = answer["exceptionDetails"]
            raise StorageError(f"the page answered with an error: {said.get('exception', {}).get('description', said['text'])}")
        return answer["result"].get("value")

    def wait(self, what: str, script: str, timeout_s: float) -> Any:
        """Evaluate until the value is true, and return it."""
        return self.wait_for(what, lambda: self.evaluate(script), timeout_s)

    def wait_for(self, what: str, look: Callable[[], Any], timeout_s: float) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (value := look()):
            if time.monotonic() > deadline:
                raise StorageError(f"the viewer did not show {what} within {timeout_s:.0f} s", hint=f"see {self._folder}")
            time.sleep(0.2)
        return value

    def click(self, x: float, y: float, count: int = 1) -> None:
        """Press and release the left button at (x, y), in CSS pixels, and go away; ``count`` 2: a double click."""
        self._call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": number})
        self._call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})  # what opens under a pointer would hide the image

    def png(self) -> bytes:
        """What the page shows."""
        return base64.b64decode(self._call("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": True})["data"])

    def stop(self) -> None:
        """End it, and take its profile away."""
        if self._process is None:
            return
        try:
            self._call("Browser.close", session=False)
            self._process.wait(STOP_TIMEOUT_S)
        except (StorageError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._process = None
        shutil.rmtree(self._folder / "profile", ignore_errors=True)

    def _call(self, method: str, parameters: Mapping[str, Any] | None = None, *, session: bool = True) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters or {}, **({"sessionId": self._session} if session else {})}
        content = json.dumps(message).encode() + b"\0"
        try:
            while content:
                content = content[os.write(self._to, content) :]
        except BrokenPipeError:
            raise self._ended() from None
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while (answer := self._next(method, deadline)).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise StorageError(f"Chromium refused {method}: {answer['error'].get('message')}")
        return answer["result"]

    def _next(self, method: str, deadline: float) -> Any:
        """The next message; they end with a zero byte."""
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise StorageError(f"Chromium did not answer {method} within {ANSWER_TIMEOUT_S:.0f} s", hint=f"see {self._folder}")
            if not (content := os.read(self._from, 1 << 20)):
                raise self._ended()
            self._received += content
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Mapping[str, Any]) -> None:
        """Keep what the page writes to its console: the reason where something does not show."""
        if event.get("method") == "Runtime.consoleAPICalled":
            words = " ".join(str(part.get("value", part.get("description", ""))) for part in event["params"]["args"])
            self.console.append(f"{event['params']['type']}: {words}")
        elif event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.console.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")

    def _ended(self) -> StorageError:
        return StorageError("Chromium ended by itself", hint=f"see {self._folder / 'chromium.log'}")
