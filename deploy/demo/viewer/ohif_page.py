"""OHIF as a radiologist uses it: open a study, open a series, click a row of a panel.

Elements are found by OHIF's ``data-cy`` attributes (those of its own tests, release 3.13) and by their texts.
"""

import json
import re
from collections.abc import Collection
from pathlib import Path

from playwright.sync_api import Locator, Page

MEASUREMENTS, SEGMENTATIONS = "trackedMeasurements", "panelSegmentation"
_THUMBNAIL = "[data-cy=study-browser-thumbnail], [data-cy=study-browser-thumbnail-no-image]"
_MODALITY = "[data-cy=series-modality-label]"
_VIEWPORT = "window.cornerstone?.getRenderingEngines()[0]?.getViewports()[0]"
# The tour of the first visit covers the page. OHIF shows it unless this entry says that it has been seen.
_NO_TOUR = "try { localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour'])) } catch {}"
# Playwright tests a condition at every frame unless it is told otherwise, which makes the browser produce frames that show nothing new.
_EVERY_MS = 200


class OhifPage:
    """The viewer in one page of a browser. Every method waits for what it needs; Playwright raises when it does not appear.

    Parameters
    ----------
    page
        An empty page.
    url
        Where the viewer is served.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url
        self._thumbnails = page.locator(_THUMBNAIL)
        self._rows = page.locator("[data-cy=data-row]")
        page.add_init_script(_NO_TOUR)

    def open_study(self, study_instance_uid: str, modalities: Collection[str]) -> None:
        """Open a study; return when series of all ``modalities`` are listed and an image is displayed."""
        self.page.goto(f"{self._url}/viewer?StudyInstanceUIDs={study_instance_uid}", wait_until="commit")
        for modality in modalities:
            self._thumbnail(modality).first.wait_for()
        self._wait_for(f"!!{_VIEWPORT}?.getCurrentImageId?.()")
        banner = self.page.locator("[data-cy=confirm-and-hide-button]")
        if banner.is_visible():
            self._click(banner)
            banner.wait_for(state="hidden")

    def listed_modalities(self) -> list[str]:
        """Return the modality of each series in the list."""
        return [text.strip() for text in self._thumbnails.locator(_MODALITY).all_inner_texts()]

    def open_series(self, modality: str, *, load: bool = False) -> None:
        """Double-click the first series of a modality. With ``load``, answer Yes to the question whether to load its contents."""
        self._thumbnail(modality).first.dblclick()
        self._move_pointer_away()
        if load:
            yes = self.page.get_by_role("button", name="Yes", exact=True)
            self._click(yes)
            yes.wait_for(state="hidden")

    def open_panel(self, name: str) -> None:
        """Open a panel on the right: `MEASUREMENTS` or `SEGMENTATIONS`."""
        self._click(self.page.locator(f"[data-cy={name}-btn]"))

    def panel_rows(self, count: int) -> list[str]:
        """Wait until the open panel has ``count`` rows and return their texts."""
        self._wait_for("count => document.querySelectorAll('[data-cy=data-row]').length === count", count)
        # The measurement's text is beside the row, inside the element around both.
        script = "rows => rows.map(row => (row.closest('[data-cy^=measurement-table-row]') ?? row).innerText)"
        return list(self._rows.evaluate_all(script))

    def click_row(self, index: int) -> None:
        """Click a row of the open panel, counted from 0: the viewer goes to its place in the image."""
        self._click(self._rows.nth(index).locator("[data-cy=data-row-title]"))

    def displayed_image(self) -> str:
        """Return the SOP Instance UID of the image displayed; empty when there is none."""
        image_id = str(self.page.evaluate(f"{_VIEWPORT}?.getCurrentImageId?.() ?? ''"))
        found = re.search(r"/instances/([0-9.]+)", image_id)
        return found.group(1) if found else ""

    def wait_for_image(self, sop_instance_uid: str) -> None:
        """Wait until that image is displayed and drawn."""
        self._wait_for(f"uid => {_VIEWPORT}?.getCurrentImageId?.()?.includes(`/instances/${{uid}}/`)", sop_instance_uid)
        self.wait_until_drawn()

    def wait_until_drawn(self) -> None:
        """Wait for two frames: what was requested before is then on the screen."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def scroll_to_image(self, sop_instance_uid: str) -> None:
        """Display an image of the stack, as scrolling would."""
        index = f"{_VIEWPORT}.getImageIds().findIndex(id => id.includes(`/instances/${{uid}}/`))"
        self.page.evaluate(f"async uid => {{ await {_VIEWPORT}.setImageIdIndex({index}) }}", sop_instance_uid)
        self.wait_for_image(sop_instance_uid)

    def page_position(self, point_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Convert a point of the frame of reference (LPS, mm) to x and y on the page (CSS pixels)."""
        script = f"""point => {{
            const viewport = {_VIEWPORT}, [x, y] = viewport.worldToCanvas(point), box = viewport.element.getBoundingClientRect();
            return [box.x + x, box.y + y];
        }}"""
        x, y = self.page.evaluate(script, list(point_mm))
        return float(x), float(y)

    def viewport_box(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the area in which the image is drawn (CSS pixels)."""
        script = f"() => {{ const r = {_VIEWPORT}.element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; }}"
        left, top, right, bottom = map(float, self.page.evaluate(script))
        return left, top, right, bottom

    def text(self) -> str:
        """Return the text of the whole page."""
        return self.page.inner_text("body")

    def wait_for_text(self, text: str) -> None:
        """Wait until the page contains a text."""
        self._wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    def wait_for_annotation(self, text: str) -> None:
        """Wait until an annotation with this text is drawn on the image; draw the image again until it is.

        OHIF 3.13 notes which annotations of a report belong to a viewport after it has displayed the image, and draws nothing then.
        On a slow machine the image is drawn before that and stays without them until the next drawing, which a user causes by any
        scrolling or zooming.
        """
        script = f"text => {{ {_VIEWPORT}?.render(); return document.body.innerText.includes(text); }}"
        self.page.wait_for_function(script, arg=text, polling=500)

    def screenshot(self, path: Path) -> Path:
        """Write the page to ``path`` as PNG."""
        self.page.screenshot(path=path)
        return path

    def _wait_for(self, script: str, argument: object = None) -> None:
        """Wait until a condition in JavaScript is true."""
        self.page.wait_for_function(script, arg=argument, polling=_EVERY_MS)

    def _thumbnail(self, modality: str) -> Locator:
        label = self.page.locator(_MODALITY, has_text=re.compile(rf"^\s*{re.escape(modality)}\s*$"))
        return self._thumbnails.filter(has=label)

    def _click(self, element: Locator) -> None:
        element.click()
        self._move_pointer_away()

    def _move_pointer_away(self) -> None:
        """Move the pointer to the corner: a tooltip under it would cover the image."""
        self.page.mouse.move(1, 1)
