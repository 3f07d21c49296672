"""Result objects as the console shows them: the report as text, the segmentation, the picture, the PDF; who has viewed them is recorded."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from sqlalchemy import text

from core.states import ResultKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import StoredObject
from tests.support import analyses_with_images
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, identity, plan, timings
from workers.encode.objects import by_kind
from workers.encode.sr import document

KINDS = (ResultKind.SEG, ResultKind.HEATMAP, ResultKind.PDF, ResultKind.KEY_IMAGES, ResultKind.PARAMETRIC_MAP)


@pytest.fixture(scope="module")
def shown(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Database, Blobs]]:
    """A clinician's browser on a result with one object of each kind."""
    folder = tmp_path_factory.mktemp("objects")
    blobs, analysis = Blobs(folder / "blobs"), analyses_with_images.chest()
    made = [document.encode(analysis), *(one for kind in KINDS for one in by_kind.encode_kind(kind, analysis)[:1])]
    Sender(module_database).send(1)
    complete(module_database, plan())
    objects = tuple(StoredObject(one, blobs.put(one.content), ("pacs",)) for one in made)
    commit_result(
        module_database, claim(module_database), prediction=analysis.prediction, identity=identity(), objects=objects, timings=timings()
    )
    add_users(module_database)
    with RunningConsole(module_database, folder) as console, console.browser("clinician") as browser:
        yield browser, module_database, blobs


def _object(database: Database, kind: str) -> tuple[int, str]:
    with database.begin() as connection:
        row = connection.execute(text("SELECT id, sha256 FROM reports WHERE kind = :kind ORDER BY id LIMIT 1"), {"kind": kind}).one()
    return row.id, row.sha256


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sr", ("Imaging Measurement Report", "Nodule", "Volume", "mm")),
        ("seg", ("Segmentation", "3 segments", "nodule 1", "Show on the images")),
        ("key_images", ("Of Interest", "Show on the images")),
        ("parametric_map", ("planes", "Show on the images")),
    ],
)
def test_an_object_is_shown_as_text(shown: tuple[Browser, Database, Blobs], kind: str, words: tuple[str, ...]) -> None:
    browser, database, _ = shown
    page = browser.get(f"/objects/{_object(database, kind)[0]}/view").text
    for word in words:
        assert word in page, word


def _content(browser: Browser, page: str) -> str:
    return page.split('<img src="' if "<img" in page else 'class="button primary" href="')[1].split('"')[0]


def test_the_picture_of_a_heat_map_is_that_of_the_object(shown: tuple[Browser, Database, Blobs]) -> None:
    browser, database, blobs = shown
    number, sha256 = _object(database, "heatmap")
    path = _content(browser, browser.get(f"/objects/{number}/view").text)
    picture = np.asarray(Image.open(io.BytesIO(browser.get(path).content)))
    assert np.array_equal(picture, dcmread(blobs.path(sha256)).pixel_array)


def test_the_pdf_is_that_of_the_object(shown: tuple[Browser, Database, Blobs]) -> None:
    browser, database, blobs = shown
    number, sha256 = _object(database, "pdf")
    reply = browser.get(_content(browser, browser.get(f"/objects/{number}/view").text))
    assert reply.headers["content-type"] == "application/pdf"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.content == bytes(dcmread(blobs.path(sha256)).EncapsulatedDocument)
    at_once = browser.get(f"/objects/{number}/pdf")
    assert at_once.status_code == 303
    assert browser.get(at_once.headers["location"]).headers["content-type"] == "application/pdf"
    assert browser.get(f"/objects/{_object(database, 'sr')[0]}/pdf").status_code == 404


def test_a_view_is_an_audit_event_and_its_content_is_for_this_session_only(shown: tuple[Browser, Database, Blobs]) -> None:
    browser, database, _ = shown
    number, sha256 = _object(database, "pdf")
    path = _content(browser, browser.get(f"/objects/{number}/view").text)
    with database.begin() as connection:
        query = "SELECT actor, details FROM audit_events WHERE action = 'object.viewed' ORDER BY id DESC LIMIT 1"
        event = connection.execute(text(query)).one()
    assert (event.actor, event.details["sha256"]) == ("user:clinician", sha256)
    other = _object(database, "sr")[0]
    assert browser.get(path.replace(f"/objects/{number}/", f"/objects/{other}/")).status_code == 404
    with Browser(base_url=browser.base_url, timeout=600) as second:
        second.sign_in("viewer")
        assert second.get(path).status_code == 404


def test_an_object_whose_file_retention_has_deleted_says_so(shown: tuple[Browser, Database, Blobs], tmp_path: Path) -> None:
    browser, database, _ = shown
    number, _ = _object(database, "key_images")
    with database.begin() as connection:
        connection.execute(text("UPDATE reports SET removed_at = node_now() WHERE id = :id"), {"id": number})
    assert "deleted by the node&#39;s retention" in browser.get(f"/objects/{number}/view").text
    with database.begin() as connection:
        connection.execute(text("UPDATE reports SET removed_at = NULL WHERE id = :id"), {"id": number})
