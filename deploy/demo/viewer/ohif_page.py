"""OHIF as a radiologist uses it: thumbnails, prompts, panels and rows, found by what the page shows and moved with the mouse."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from deploy.demo.viewer.browser import Browser

PATIENCE_S = 240.0  # a machine that does other work beside draws a page in minutes, not seconds
MEASUREMENTS, SEGMENTATIONS = "trackedMeasurements", "panelSegmentation"
_THUMBNAILS = "[...document.querySelectorAll('[data-cy=study-browser-thumbnail],[data-cy=study-browser-thumbnail-no-image]')]"
_ROWS = "[...document.querySelectorAll('[data-cy=data-row]')]"
_MODALITY = "querySelector('[data-cy=series-modality-label]')?.innerText.trim()"
_VIEWPORT = "window.cornerstone?.getRenderingEngines()[0]?.getViewports()[0]"
# The first-time tour lies over everything; what it sets when it has been seen is set before the page loads.
_NO_TOUR = "try { localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour'])) } catch {}"


class Ohif:
    """One browser with the viewer at ``url``. Every method waits for what it names; StorageError where it does not come."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        browser.before_each_page(_NO_TOUR)

    def open(self, study_instance_uid: str, listed: Collection[str]) -> None:
        """Show a study, until series of all these modalities are listed and the first image is there."""
        self.browser.open(f"{self.url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self.browser.wait_for(f"series of {', '.join(sorted(listed))}", lambda: set(listed) <= set(self.series()), PATIENCE_S)
        self.browser.wait("an image", f"!!{_VIEWPORT}?.getCurrentImageId?.()", PATIENCE_S)
        banner = "document.querySelector('[data-cy=confirm-and-hide-button]')"
        if self.browser.evaluate(f"!!{banner}"):
            self._click(banner)
            self.browser.wait("the page without its banner", f"!{banner}", PATIENCE_S)

    def series(self) -> list[str]:
        """The modalities of the series listed."""
        return list(self.browser.evaluate(f"{_THUMBNAILS}.map(e => e.{_MODALITY})"))

    def show(self, modality: str, *, description: str = "", load: bool = False) -> None:
        """Double click on the series of that modality. ``load``: answer Yes where the viewer asks whether to load its contents."""
        words = json.dumps(description)
        found = f"{_THUMBNAILS}.find(e => e.{_MODALITY} === {json.dumps(modality)} && e.innerText.includes({words}))"
        self._click(found, f"a series of modality {modality}", count=2)
        if load:
            yes = "[...document.querySelectorAll('button')].find(e => e.innerText.trim() === 'Yes')"
            self._click(yes, f"the question whether to load the {modality}")
            self.browser.wait("the answer taken", f"!{yes}", PATIENCE_S)

    def panel(self, name: str) -> None:
        """Open a panel on the right."""
        self._click(f"document.querySelector('[data-cy={name}-btn]')", f"the panel {name}")

    def rows(self, expected: int) -> list[str]:
        """The text of the panel's rows, once there are ``expected``."""
        self.browser.wait(f"{expected} rows", f"{_ROWS}.length === {expected}", PATIENCE_S)
        return list(self.browser.evaluate(f"{_ROWS}.map(e => (e.closest('[data-cy^=measurement-table-row]') ?? e).innerText)"))

    def click_row(self, index: int) -> None:
        """Click a row of the panel, from 0: the viewer goes there."""
        self._click(f"{_ROWS}[{index}]?.querySelector('[data-cy=data-row-title]')", f"row {index + 1}")

    def image(self) -> str:
        """SOP Instance UID of the image shown."""
        found = re.search(r"/instances/([0-9.]+)", str(self.browser.evaluate(f"{_VIEWPORT}?.getCurrentImageId?.() ?? ''")))
        return found.group(1) if found else ""

    def wait_for_image(self, sop_instance_uid: str) -> None:
        """Until that image is shown, and drawn."""
        self.browser.wait_for("the image it was to go to", lambda: self.image() == sop_instance_uid, PATIENCE_S)
        self.settle()

    def settle(self) -> None:
        """Until the page has drawn twice: what was asked for is on the screen."""
        self.browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def go_to(self, sop_instance_uid: str) -> None:
        """Show an image of the stack, as scrolling would."""
        place = f"{_VIEWPORT}.getImageIds().findIndex(id => id.includes('/instances/{sop_instance_uid}/'))"
        self.browser.evaluate(f"{_VIEWPORT}.setImageIdIndex({place}).then(() => true)")
        self.wait_for_image(sop_instance_uid)

    def on_screen(self, point_mm: tuple[float, float, float]) -> tuple[float, float]:
        """(x, y) on the page, in CSS pixels, of a point in the frame of reference (LPS mm)."""
        script = f"(() => {{ const v = {_VIEWPORT}; const [x, y] = v.worldToCanvas({json.dumps(point_mm)}); " \
            "const box = v.element.getBoundingClientRect(); return [box.x + x, box.y + y]; })()"  # fmt: skip
        x, y = self.browser.evaluate(script)
        return float(x), float(y)

    def viewport(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of where the image is drawn, in CSS pixels."""
        script = f"(() => {{ const r = {_VIEWPORT}.element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; }})()"
        left, top, right, bottom = map(float, self.browser.evaluate(script))
        return left, top, right, bottom

    def text(self) -> str:
        """All that the page says."""
        return str(self.browser.evaluate("document.body.innerText"))

    def wait_for_text(self, words: str) -> None:
        self.browser.wait(f"the words {words!r}", f"document.body.innerText.includes({json.dumps(words)})", PATIENCE_S)

    def picture(self, path: Path) -> Path:
        """The page as PNG in ``path``."""
        path.write_bytes(self.browser.png())
        return path

    def _click(self, element: str, what: str = "a button", count: int = 1) -> None:
        """Click the middle of an element, once it has come and stands still."""
        script = f"(() => {{ const e = {element}; if (!e) return null; e.scrollIntoView({{block: 'nearest'}}); " \
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"  # fmt: skip
        before: Any = None

        def still() -> Any:
            nonlocal before
            last, before = before, self.browser.evaluate(script)
            return before if before is not None and before == last else None

        x, y = self.browser.wait_for(what, still, PATIENCE_S)
        self.browser.click(x, y, count)
