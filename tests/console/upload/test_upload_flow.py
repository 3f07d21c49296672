"""From the browser and from a program to the study: the console, and the listener's part, on one database; no worker runs."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Route

from core.settings.node import NodeSection
from core.settings.settings import Settings
from db.accounts.api_tokens import add_token
from db.accounts.users import list_users
from db.blobs.store import Blobs
from db.engine import Database
from deploy.demo.synthetic.lesion import make_lesion
from dicom_node.upload.upload_receiver import UploadReceiver
from tests.support.chromium import TIMEOUT_MS, sign_in
from tests.support.console import PASSWORD, RunningConsole, add_users
from tests.support.node_process import wait_until
from tests.support.records import Sender, claim, complete, finish, plan, rows, run


@dataclass(frozen=True, slots=True)
class UploadNode:
    """A console, and a listener's part that takes uploads."""

    url: str
    database: Database


@pytest.fixture(scope="module")
def node(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadNode]:
    folder = tmp_path_factory.mktemp("node")
    settings = Settings(node=NodeSection(data_dir=folder))
    add_users(module_database)
    with (
        RunningConsole(module_database, folder) as console,
        UploadReceiver(settings, module_database, Blobs(folder / "blobs"), lambda: ""),
    ):
        yield UploadNode(console.url, module_database)


def test_a_photograph_is_uploaded_through_a_broken_connection_and_its_study_opens(
    node: UploadNode, tmp_path: Path, chromium: Browser
) -> None:
    photograph = tmp_path / "lesion on the cheek.jpg"
    photograph.write_bytes(make_lesion(9, size=(600, 800)).jpeg)
    piece = photograph.stat().st_size // 3 + 1
    seen: list[int] = []
    held: list[Route] = []

    def lose_the_second_piece(route: Route) -> None:
        seen.append(int(route.request.headers.get("upload-offset", "-1")))
        if len(seen) == 2:
            route.abort("connectionreset")
        elif len(seen) == 3:
            held.append(route)  # the page asks where to go on; the answer waits until its state has been read
        else:
            route.continue_()

    with chromium.new_page(viewport={"width": 1280, "height": 900}) as page:
        page.set_default_timeout(TIMEOUT_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{node.url}/sign-in?next=/upload")
        page.fill("[name=name]", "clinician")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.set_input_files("#files", str(photograph))
        page.fill("[name=patient_id]", "P-77")
        page.focus("[data-region=scalp]")
        page.keyboard.press("ArrowRight")
        assert page.input_value("#region") == "forehead"
        page.click("[data-region=cheek-L]")
        assert page.get_attribute("[data-region=cheek-L]", "aria-checked") == "true"
        page.route("**/uploads/*/files/*", lose_the_second_piece)
        page.eval_on_selector("#upload", "(form, bytes) => { form.dataset.pieceBytes = bytes; }", piece)
        page.click("#start")
        page.wait_for_selector("#connection:has-text('connection is lost')")
        assert 0 < float(page.evaluate("document.getElementById('overall-bar').value")) < 1
        while not held:
            page.wait_for_timeout(50)
        held[0].continue_()
        page.wait_for_url("**/studies/*")
        assert "P-77" in page.inner_text("main")
    assert not errors
    assert seen == [0, piece, -1, piece, 2 * piece], "it asked where to go on, and sent nothing twice"
    assert rows(node.database, "SELECT patient_id FROM studies") == [("P-77",)]
    region = "SELECT header ->> 'sop_class_uid' FROM instances"
    assert rows(node.database, region) == [("1.2.840.10008.5.1.4.1.1.77.1.7",)]


def test_a_file_that_is_chosen_before_the_script_has_come_is_in_the_list(node: UploadNode, tmp_path: Path, chromium: Browser) -> None:
    photograph = tmp_path / "early.jpg"
    photograph.write_bytes(_photograph(8))
    held: list[Route] = []
    with chromium.new_page() as page:
        sign_in(page, node.url, "clinician")
        page.route("**/upload.js", lambda route: held.append(route))
        page.goto(f"{node.url}/upload", wait_until="commit")
        page.set_input_files("#files", str(photograph))
        while not held:
            page.wait_for_timeout(50)
        assert page.is_disabled("#start")
        held[0].continue_()
        page.wait_for_selector("#start:enabled")
        assert "early.jpg" in page.inner_text("#list")


def _photograph(seed: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_lesion(seed, size=(90, 120)).jpeg)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def program(node: UploadNode) -> Iterator[httpx.Client]:
    """A program with the token of a clinician."""
    (user,) = [user for user in list_users(node.database) if user.name == "clinician"]
    token = add_token(node.database, user, name="test", scopes=["upload", "results"], days=1, actor="test")
    with httpx.Client(base_url=node.url, timeout=600, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def test_predict_answers_where_to_poll_and_within_the_wait_the_result(program: httpx.Client, node: UploadNode) -> None:
    jpeg = {"Content-Type": "image/jpeg"}
    begun = program.post("/api/v1/predict", params={"patient_id": "P-78", "region": "lower-back"}, content=_photograph(3), headers=jpeg)
    assert begun.status_code == 202
    assert begun.headers["location"] == begun.json()["url"]
    url = begun.json()["url"]
    wait_until("the listener takes it", lambda: program.get(url).json()["studies"], every_s=0.1)
    assert program.get(url).status_code == 202, "no model has seen it"
    study = rows(node.database, "SELECT study_instance_uid FROM studies WHERE patient_id = 'P-78'")[0][0]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(program.get, url, params={"wait": 60})
        complete(node.database, plan("dermoscopy_7class"), study=str(study))
        job = claim(node.database)
        finish(node.database, job)
        done = waiting.result()
    assert job.source == "CONSOLE", "the worker makes a PDF of it"
    assert (done.status_code, done.json()["state"], done.json()["instances"]) == (200, "done", 1)
    (result,) = done.json()["results"]
    assert (result["outcome"], result["category"], result["tier"], result["model"]) == ("findings", "nodule", "review", "dermoscopy_7class")
    assert result["links"]["report"].startswith("/api/v1/objects/")
    again = program.post(
        "/api/v1/predict", params={"patient_id": "P-78", "region": "lower-back", "wait": 60}, content=_photograph(3), headers=jpeg
    )
    assert (again.status_code, again.json()["already_known"], again.json()["results"]) == (200, 1, [result])


def test_predict_waits_for_the_rest_of_a_study_in_which_another_analysis_has_failed(program: httpx.Client, node: UploadNode) -> None:
    params, jpeg = {"patient_id": "P-79"}, {"Content-Type": "image/jpeg"}
    begun = program.post("/api/v1/predict", params=params, content=_photograph(5), headers=jpeg).json()
    wait_until("the listener takes it", lambda: program.get(begun["url"]).json()["studies"], every_s=0.1)
    ((study, uid),) = rows(node.database, "SELECT id, study_instance_uid FROM studies WHERE patient_id = 'P-79'")
    complete(node.database, plan("dermoscopy_7class"), study=str(uid))
    run(node.database, "UPDATE jobs SET state = 'quarantined', reason = 'damaged' WHERE state = 'queued'")
    assert program.get(begun["url"]).status_code == 200, "nothing else is expected"
    Sender(node.database).send(1, study=str(uid), series="1.2.79.1")
    reply = program.get(begun["url"])
    assert (reply.status_code, reply.json()["state"], reply.json()["studies"]) == (202, "running", [study])


@pytest.mark.parametrize(
    ("params", "headers", "content", "status", "words"),
    [
        ({}, {"Content-Type": "text/plain"}, b"x", 415, "image/jpeg"),
        ({"birth_date": "tomorrow"}, {"Content-Type": "image/jpeg"}, b"x", 422, "birth date"),
        ({"region": "elsewhere"}, {"Content-Type": "image/jpeg"}, b"x", 422, "region"),
        ({}, {"Content-Type": "image/jpeg"}, b"", 422, "empty"),
        ({}, {"Content-Type": "image/png"}, bytes(17 << 20), 413, "16 MB"),
        ({"wait": "60"}, {"Content-Type": "image/png"}, b"<html>", 200, "named as PNG"),
    ],
)
def test_predict_refuses_in_words(
    program: httpx.Client, params: dict[str, str], headers: dict[str, str], content: bytes, status: int, words: str
) -> None:
    reply = program.post("/api/v1/predict", params=params, content=content, headers=headers)
    assert reply.status_code == status
    assert words in reply.text
    if status == 200:
        assert reply.json()["state"] == "refused"
