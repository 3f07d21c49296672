"""Choosing of files on the page of uploads in Chromium."""

import os
from pathlib import Path

from playwright.sync_api import Browser

from db.engine import Database
from tests.support.chromium import sign_in
from tests.support.console import RunningConsole, add_users


def test_files_of_one_name_and_size_are_both_taken_and_a_file_that_is_chosen_twice_is_named(
    database: Database, tmp_path: Path, chromium: Browser
) -> None:
    """Slices of two series have one size, and often one name."""
    files = [tmp_path / folder / "I0001.dcm" for folder in ("first", "second")]
    for day, file in enumerate(files):
        file.parent.mkdir()
        file.write_bytes(bytes([day]) * 100)
        os.utime(file, (86_400.0 * day, 86_400.0 * day))
    add_users(database)
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url) as page:
        sign_in(page, console.url, "clinician")
        page.goto("/upload")
        for file in files:
            page.set_input_files("#files", str(file))
        assert page.locator("#list li").count() == 2
        assert page.is_hidden("#message")
        assert page.inner_text("#start") == "Upload 2 files"
        page.set_input_files("#files", str(files[0]))
        assert page.locator("#list li").count() == 2
        assert page.inner_text("#message") == "In the list already: I0001.dcm."


def test_a_file_that_is_deleted_after_it_was_chosen_is_named_and_not_tried_for_ever(
    database: Database, tmp_path: Path, chromium: Browser
) -> None:
    """The browser reports it like a connection that is lost."""
    gone, kept = tmp_path / "gone.dcm", tmp_path / "kept.dcm"
    for file in (gone, kept):
        file.write_bytes(bytes(100))
    add_users(database)
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url) as page:
        sign_in(page, console.url, "clinician")
        page.goto("/upload")
        page.set_input_files("#files", [str(gone), str(kept)])
        page.wait_for_selector("#start:not([disabled])")
        gone.unlink()
        page.evaluate("""() => {
            const list = document.getElementById("list");  // the page leaves when everything else has arrived
            const seen = () => { if (list.textContent.includes("deleted")) localStorage.setItem("told", list.textContent); };
            new MutationObserver(seen).observe(list, { subtree: true, childList: true, characterData: true });
        }""")
        page.click("#start")
        page.wait_for_url("**/uploads/*")
        assert "was changed or deleted" in page.evaluate("() => localStorage.getItem('told')")
