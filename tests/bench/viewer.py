"""Measures the viewer in Chromium on the CPTAC series (99 slices of 512 x 512): time to the first image, and images a second.

TCP_NODELAY=1 .venv/bin/python -m tests.bench.viewer, or make bench SECTION=viewer
"""

import shutil
import sys
from statistics import median
from typing import Any

from playwright.sync_api import Page

from db.blobs.store import Blobs
from db.engine import Database
from deploy.demo.inputs import CT_SERIES
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, postgres_with_schema, report, work_folder
from tests.support.chromium import headless_chromium, sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.real_data import data_folder
from tests.support.viewer_units import series_with_findings

OPENINGS, DECODED = 9, 5
PAGE = paired_runs.ROOT / "docs" / "measurements-console.md"
TARGET_MS, TARGET_RATE = 300, 30
_SCROLL = """async () => {
    const { viewer } = await import(document.querySelector("script[type=module]").src), began = performance.now(), drawn = [];
    for (let n = 0; performance.now() - began < 3000; n++) {
        viewer.scroll("z", Math.floor(n / 60) % 2 ? 1 : -1);
        const start = performance.now();
        await new Promise((done) => requestAnimationFrame(done));
        drawn.push(performance.now() - start);
    }
    const start = performance.now();
    for (let n = 0; n < 50; n++) { viewer.model.scroll("z", n < 25 ? 1 : -1); viewer.views.forEach((view) => view.draw()); }
    return [drawn.length / ((start - began) / 1000), (performance.now() - start) / 50];
}"""


def _open(page: Page, url: str) -> float:
    """Open the viewer, wait until every slice is there, and return the milliseconds until the first image was drawn."""
    page.goto(url)
    page.wait_for_selector("body[data-loaded]")
    found: Any = page.evaluate("() => performance.getEntriesByName('viewer-first-image')[0].startTime")
    return float(found)


def _row(what: str, measured_ms: float) -> list[str]:
    return [f"first image, {what}", f"{measured_ms:.0f} ms", f"{TARGET_MS} ms", "yes" if measured_ms <= TARGET_MS else "no"]


def main() -> None:
    """Run the benchmark and write its section."""
    arguments = command_line(__doc__, page=PAGE).parse_args()
    data = data_folder()
    if data is None:
        sys.exit("the real series is absent: set DICOM_NODE_DATA")
    with work_folder() as folder, postgres_with_schema(folder / "postgres") as url, Database.open(url) as database:
        add_users(database)
        files = sorted((data / "ct" / CT_SERIES).rglob("*.dcm"))
        unit, _ = series_with_findings(database, Blobs(folder / "blobs"), files, [((-56.5, -157.2, -124.6), 14.0)])
        with RunningConsole(database, folder) as console, headless_chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            sign_in(page, console.url, "clinician")
            after_study, direct = [], []
            for _ in range(DECODED):
                page.goto(f"{console.url}/studies/1")
                page.wait_for_timeout(3000)  # a person looks at the page; the images are decoded meanwhile
                after_study.append(_open(page, f"{console.url}/viewer/{unit}"))
                shutil.rmtree(folder / "viewer-cache")
                page.goto(f"{console.url}/account")
                page.wait_for_timeout(3000)  # the next render process gets ready
                direct.append(_open(page, f"{console.url}/viewer/{unit}"))
                shutil.rmtree(folder / "viewer-cache")
                page.goto(f"{console.url}/account")
                page.wait_for_timeout(3000)
            _open(page, f"{console.url}/viewer/{unit}")
            again = [_open(page, f"{console.url}/viewer/{unit}") for _ in range(OPENINGS)]
            rate, draw_ms = page.evaluate(_SCROLL)
    rows = [
        _row(f"3 s after its study was opened (median of {DECODED})", median(after_study)),
        _row(f"the series has to be decoded (median of {DECODED})", median(direct)),
        _row(f"opened before (median of {OPENINGS})", median(again)),
        ["scrolling in three views, bound by the screen", f"{rate:.0f} images/s", f"{TARGET_RATE} images/s",
         "yes" if rate >= TARGET_RATE else "no"],
        ["drawing three views", f"{draw_ms:.1f} ms", "", ""],
    ]  # fmt: skip
    table = paired_runs.markdown_table(["CPTAC series, 99 slices of 512 x 512", "measured", "target", "reached"], rows)
    report(arguments, "viewer", "## Viewer", table, page=PAGE)


if __name__ == "__main__":
    main()
