"""Creates the pictures of the console for README.md and docs/console.md: ``make pictures``.

The images are synthetic, and the findings are their known nodules and lesion: no model was used.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from core.states import ResultKind
from db.audit import chain
from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.demo.viewer.prerequisites import find_chromium
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.support.console import PASSWORD, RunningConsole
from tests.support.filled_console import fill_node, keep_roles_alive, use_console
from tests.support.memory_folder import memory_folder

WIDTH_PX, HEIGHT_PX = 1280, 800
LARGEST_BYTES = 200_000
KINDS = (ResultKind.SEG, ResultKind.HEATMAP, ResultKind.PDF)
TIMEOUT_MS = 240_000
PICTURES = (
    ("worklist", "clinician", "light", "/worklist"),
    ("study", "clinician", "light", "/studies/{study_id}"),
    ("viewer", "clinician", "dark", "/viewer/{unit_id}"),
    ("upload", "clinician", "light", "/upload"),
    ("operations", "operator", "light", "/operations"),
    ("status", "operator", "dark", "/status"),
    ("users", "admin", "light", "/users"),
    ("audit", "auditor", "light", "/audit"),
    ("access-report", "auditor", "dark", "/audit/patient?patient_id=SYN-000005"),
)
"""Name, role of the user, colour scheme, page."""


def save_small(content: bytes, path: Path) -> None:
    """Save a screenshot as PNG with 256 colours; as JPEG where the PNG would be larger than `LARGEST_BYTES`, as of radiological images."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > LARGEST_BYTES:
        path.unlink()
        picture.save(path.with_suffix(".jpg"), quality=88, optimize=True)


def take_picture(browser: Browser, url: str, values: dict[str, str], picture: tuple[str, str, str, str], folder: Path) -> None:
    """Sign in as a user of the role, open the page, and save what is on the screen."""
    name, role, scheme, path = picture
    size = {"width": WIDTH_PX, "height": HEIGHT_PX}
    context = browser.new_context(base_url=url, viewport=size, color_scheme="dark" if scheme == "dark" else "light")  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.goto("/sign-in")
    page.fill("[name=name]", role)
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector(".who .role", state="attached")
    page.goto(path.format_map(values))
    if name == "viewer":
        page.wait_for_selector("body.with-heat")
        page.wait_for_selector("body[data-loaded]")
        page.click('ol.findings [data-finding="1"]')
    save_small(page.screenshot(), folder / f"{name}.png")
    context.close()


def main(folder: Path) -> None:
    """Start a console on synthetic data and write every picture to ``folder``."""
    chromium = find_chromium()
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    scratch = memory_folder()
    scratch.chmod(0o755)
    server = EmbeddedPostgres(scratch / "postgres")
    database = Database.open(server.start())
    data = scratch / "data"
    data.mkdir()
    try:
        upgrade_schema(database)
        values = fill_node(database, data, slices=100, size=320, kinds=KINDS)
        with RunningConsole(database, data) as console, console.browser() as client, sync_playwright() as playwright:
            values |= use_console(client, database)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"])
            for picture in PICTURES:
                chain(database)
                keep_roles_alive(database)
                take_picture(browser, console.url, values, picture, folder)
            browser.close()
    finally:
        database.dispose()
        server.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
