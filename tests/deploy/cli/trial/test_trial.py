"""``dicom-node trial`` with a real database, broker and worker: two versions of a small model on a dozen series."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from safetensors.torch import load_file, save_file

from core.policy.verdicts import VerdictDraft, VerdictKind
from core.settings.settings import Settings
from core.states import UnitKind
from db import audit
from db.blobs.store import Blobs
from db.complete.completion import complete_unit
from db.complete.units import units_of_study
from db.engine import Database
from db.operations import results_export
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from deploy.cli.common import operator_name
from deploy.cli.main import run
from deploy.settings_file import load_settings
from deploy.trial import run as trial_run
from models import installed
from models.card import read_card
from models.card_writer import render_card
from tests.support import node_toml
from tests.support.monai_classifiers import ABOUT, RESNET, drawing, inference, make_classifier
from tests.support.polling import pause
from tests.support.queued_jobs import JobFactory, config_text, server_url_variables
from tests.support.records import evidence, rows, scalar
from tests.support.series import image
from tests.workers.queue.site import TIMEOUT_S, Site

pytestmark = [pytest.mark.services, pytest.mark.timeout(3 * TIMEOUT_S)]

MODEL, ROUTE = "bright_discs", "balls"
SERIES, SLICES, SIDE = 12, 24, 40


def series(study: int, ball: bool, number: int = 1, thickness: float = 2.0) -> list[FileDataset]:
    """A small CT series, with or without a bright ball."""
    hu = (drawing(ball, 700 + study, (SLICES, SIDE, SIDE), 0.4).astype(np.float32) * 400 / 255 - 200).astype(np.int16)
    common = {
        "study": 7000 + study, "series": number, "side": SIDE, "thickness": thickness, "RescaleIntercept": 0, "PixelSpacing": [1.5, 1.5],
        "ManufacturerModelName": "One" if study % 2 else "Two", "PatientSex": "F" if study % 3 else "M",
    }  # fmt: skip
    return [image(number=index + 1, PixelData=plane.tobytes(), **common) for index, plane in enumerate(hu)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells balls from noise, and about.toml beside it."""
    network = {**RESNET, "spatial_dims": 3, "n_input_channels": 1}
    return make_classifier(tmp_path_factory.mktemp("zoo") / "bundle", inference(network, dims=3), ABOUT, steps=40)


@pytest.fixture
def settings(tmp_path: Path, database_url: str, broker_url: str, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node whose route takes thin CT series to the model; version 1.0.0 is imported, and 2.0.0, which never finds anything."""
    route = node_toml.chest_route(MODEL, name=ROUTE).replace('"CT" }', '"CT", SliceThickness = { max = 3.0 } }')
    path = tmp_path / "node.toml"
    path.write_text(config_text(lease_s=600.0, soft_s=600.0, hard_s=900.0) + route)
    variables = server_url_variables(database_url, broker_url)
    for name, value in {**variables, "DICOM_NODE_CONFIG": str(path)}.items():
        monkeypatch.setenv(name, value)
    assert run(["models", "import", str(bundle), "--about", str(bundle.parent / "about.toml")]) == 0
    found = load_settings(path, variables)
    assert run(["models", "import", str(blind_version(found.node.data_dir / installed.FOLDER / MODEL / "1.0.0", tmp_path / "blind"))]) == 0
    return found


def blind_version(first: Path, folder: Path) -> Path:
    """Version 2.0.0: the same network, whose last layer says "nothing" of every series."""
    folder.mkdir()
    card = read_card(first / "card.toml")
    tensors = load_file(first / card.weights)
    (bias,) = [name for name in tensors if name.endswith("fc.bias")]
    tensors[bias] = tensors[bias].clone()
    tensors[bias][0], tensors[bias][1] = -50.0, 50.0
    save_file(tensors, folder / card.weights)
    digest = hashlib.sha256((folder / card.weights).read_bytes()).hexdigest()
    (folder / "card.toml").write_text(render_card(replace(card, version="2.0.0", weights_sha256=digest)))
    return folder


@pytest.fixture
def site(tmp_path: Path, database: Database, database_url: str, broker_url: str, settings: Settings) -> Iterator[Site]:
    made = Site(tmp_path, database, database_url, broker_url, settings)
    yield made
    made.close()


def digest_of(settings: Settings, version: str) -> str:
    return installed.find_version(MODEL, version, settings.node.data_dir / installed.FOLDER).digest


def report_series(site: Site) -> list[int]:
    """Receive thirteen series and let version 1.0.0 report on them; the jobs, in their order. The last one has lost its images."""
    assert run(["models", "activate", MODEL, "1.0.0"]) == 0
    first = {"version": "1.0.0", "digest": digest_of(site.settings, "1.0.0"), "route": ROUTE}
    received = [series(study, study % 2 == 0) for study in range(SERIES + 1)]
    jobs = [site.factory.queue(images, UnitKind.SERIES, MODEL, **first)[0] for images in received]  # type: ignore[arg-type]
    worker = site.start_worker()
    site.until(lambda: all(site.state(job) == "reported" for job in jobs))
    child = worker.child()
    worker.kill()
    site.until(lambda: not Path(f"/proc/{child}").exists())  # it dies with its parent
    with site.database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE instances SET removed_at = node_now() WHERE unit_id = (SELECT unit_id FROM jobs WHERE id = %(id)s)", {"id": jobs[-1]}
        )
        connection.exec_driver_sql("DELETE FROM heartbeats")  # that of the killed worker would count for half a minute
    return jobs


def interrupt_when(site: Site, condition: str) -> threading.Thread:
    """Send the process a Ctrl-C as soon as a query returns true."""

    def watch() -> None:
        while not scalar(site.database, f"SELECT {condition}"):
            pause(time.monotonic(), 0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def wait_for_all_queued(site: Site, *, begun: int) -> None:
    """Wait until a trial was begun for the ``begun``-th time, and every unit has a shadow job."""
    trials = "SELECT count(*) FROM audit_events WHERE action = 'trial.begun'"
    site.until(lambda: bool(scalar(site.database, f"SELECT ({trials}) = {begun} AND count(*) = {SERIES} FROM jobs WHERE shadow")))


def trial_events(database: Database) -> list[dict[str, object]]:
    return [event for event in audit.export(database) if event["action"].startswith("trial.")]


def test_an_interrupted_trial_goes_on_after_clinical_work_and_delivers_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = report_series(site)
    database, command = site.database, ["trial", MODEL, "2.0.0", "--out", str(tmp_path / "page"), "--json", str(tmp_path / "figures.json")]
    found = [job for job in jobs[:-1] if scalar(database, f"SELECT outcome = 'findings' FROM jobs WHERE id = {job}")]
    assert 0 < len(found) < SERIES, "version 1.0.0 tells the series apart"
    finding = int(str(scalar(database, f"SELECT id FROM findings WHERE job_id = {found[0]}")))
    give_verdict(database, found[0], VerdictDraft(VerdictKind.ACCEPTED, finding), user="green", seen=SeenResult(1, database.now(), 1000))

    assert run([*command, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert f"{SERIES} units of {SERIES} studies selected" in said
    assert "1 further unit cannot be tried: retention has deleted the images" in said
    assert trial_events(database) == []

    monkeypatch.setattr(trial_run, "MOST_QUEUED", 3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watching = interrupt_when(site, "count(*) = 3 FROM jobs WHERE shadow")
    try:
        assert run(command) == 1  # no worker runs, so that no more than three are queued
    finally:
        watching.join(TIMEOUT_S)
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert "no worker is running" in said
    assert f"0 of {SERIES} units done; the node finishes what is in the queue: 3" in said
    assert scalar(database, "SELECT count(*) FROM jobs WHERE shadow") == 3
    assert list((tmp_path / "page").iterdir()) == []

    # A service manager ends the second process, and the third one is lost without a word.
    for number, ended_by in ((2, signal.SIGTERM), (3, signal.SIGKILL)):
        with subprocess.Popen([sys.executable, "-m", "deploy.cli", *command], stderr=subprocess.PIPE, text=True) as process:
            wait_for_all_queued(site, begun=number)
            process.send_signal(ended_by)
            _, said = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, "the same command goes on with the rest" in said) == ((1, True) if number == 2 else (-9, False))
    assert list((tmp_path / "page").iterdir()) == []

    clinical, _ = site.factory.photograph(1)
    site.start_worker()
    assert run(command) == 0
    assert scalar(database, "SELECT count(*) FROM jobs WHERE shadow") == SERIES, "nothing is lost, and nothing runs twice"
    assert scalar(database, "SELECT bool_and(state = 'delivered' AND attempts = 1 AND destinations = '{}') FROM jobs WHERE shadow")
    started = "SELECT min(a.started_at) FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.shadow"
    assert scalar(database, f"SELECT started_at < ({started}) FROM attempts WHERE job_id = {clinical}"), "the clinical job goes first"
    assert scalar(database, "SELECT count(*) FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE j.shadow") == 0
    assert scalar(database, "SELECT count(*) FROM reports r JOIN jobs j ON j.id = r.job_id WHERE j.shadow") == 0
    assert {row["job_id"] for row in results_export.export_findings(database)} == {*jobs, clinical}

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures == json.loads((tmp_path / "page" / "trial.json").read_text())
    assert (figures["units"], figures["studies"], figures["images_removed"]) == (SERIES, SERIES, 1)
    assert (figures["outcomes"]["no_finding"], figures["answered"]["count"]) == (SERIES, SERIES)
    (agreement,) = figures["agreement"]
    assert (agreement["version"], agreement["active"]) == ("1.0.0", True)
    assert (agreement["same_answer"]["count"], agreement["same_answer"]["n"]) == (SERIES - len(found), SERIES)
    assert {row["reported_job"] for row in figures["differences"]} == set(found)
    assert (figures["reference"]["right"]["count"], figures["reference"]["right"]["n"]) == (0, 1)
    assert (figures["reported_reference"]["right"]["count"], figures["reported_reference"]["right"]["n"]) == (1, 1)
    assert {(row["attribute"], row["value"]): row["units"] for row in figures["groups"]} == {
        ("scanner", "Test One"): 6, ("scanner", "Test Two"): 6, ("slice thickness", "up to 2 mm"): 12, ("kernel", "medium"): 12,
        ("sex", "female"): 8, ("sex", "male"): 4, ("age", "40 to 59"): 12,
    }  # fmt: skip
    assert (figures["seconds"]["units"], figures["memory_mib"]["units"]) == (SERIES, SERIES)
    assert figures["memory_mib"]["median"] > 100

    page = (tmp_path / "page" / "trial.html").read_text()
    assert f'<a href="{figures["differences"][0]["link"]}">' in page
    assert "Images deleted by retention" in page
    assert "What may not be concluded" in page
    assert (tmp_path / "page" / "trial.html").stat().st_mode & 0o077 == 0
    for secret in ("Test^Only", "TEST70", "ACC70", "1.2.826"):  # names and numbers of the patients and studies
        assert secret not in page
        assert secret not in json.dumps(figures)

    events = trial_events(database)
    begun, written = events[0], events[-1]
    assert [event["action"] for event in events] == [
        "trial.begun", "trial.interrupted", "trial.begun", "trial.interrupted", "trial.begun", "trial.begun", "trial.written",
    ]  # fmt: skip
    assert {event["actor"] for event in (begun, written)} == {operator_name()}
    assert written["details"]["files"]["trial.html"] == hashlib.sha256(page.encode()).hexdigest()  # type: ignore[index]
    assert rows(database, f"SELECT state FROM models WHERE digest = '{digest_of(site.settings, '2.0.0')}'") == [("standby",)]

    site.workers[-1].kill()
    assert run(command) == 0  # everything has its result: no worker is needed
    assert scalar(database, "SELECT count(*) FROM jobs WHERE shadow") == SERIES


def test_without_an_active_version_the_conditions_of_the_routes_select(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a study the best series that fits, of another one none that is thin enough."""
    factory = JobFactory(database, Blobs(settings.blobs_dir))
    for study, number, thickness in ((1, 1, 2.5), (1, 2, 1.0), (2, 1, 5.0), (3, 1, 2.0)):
        for dataset in series(study, ball=True, number=number, thickness=thickness):
            factory.receive(dataset, UnitKind.SERIES)
    for study in (1, 2, 3):
        for unit in units_of_study(database, str(series(study, ball=True)[0].StudyInstanceUID)):
            complete_unit(database, unit, evidence=evidence(unit.held), plans=(), routes=(), selected=None, reason="no route")
    config = Path(os.environ["DICOM_NODE_CONFIG"])
    best = config.read_text().replace(f'name = "{ROUTE}"\n', f'name = "{ROUTE}"\nper_study = "best"\n')
    config.write_text(best)
    assert run(["trial", MODEL, "2.0.0", "--dry-run"]) == 0
    assert "2 units of 2 studies selected" in capsys.readouterr().err
    config.write_text(best.replace('per_study = "best"\n', ""))
    assert run(["trial", MODEL, "2.0.0", "--dry-run"]) == 0
    assert "3 units of 2 studies selected" in capsys.readouterr().err
    assert run(["trial", MODEL, "2.0.0", "--dry-run", "--limit", "1"]) == 0
    assert "1 unit of 1 study selected" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM jobs") == 0
    assert scalar(database, "SELECT count(*) FROM models") == 0


def test_files_that_cannot_be_read_now_are_no_units_that_no_route_takes(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that did not answer made every unit one to which the routes cannot be applied, and the trial ended without any."""
    factory = JobFactory(database, Blobs(settings.blobs_dir))
    for dataset in series(1, ball=True):
        factory.receive(dataset, UnitKind.SERIES)
    (unit,) = units_of_study(database, str(series(1, ball=True)[0].StudyInstanceUID))
    complete_unit(database, unit, evidence=evidence(unit.held), plans=(), routes=(), selected=None, reason="no route")
    config = Path(os.environ["DICOM_NODE_CONFIG"])
    config.write_text(config.read_text() + '\n[store]\nurl = "http://127.0.0.1:9"\ntimeout_s = 2.0\n')
    monkeypatch.setenv("DICOM_NODE_STORE__TOKENS", "t" * 64)
    capsys.readouterr()
    assert run(["trial", MODEL, "2.0.0", "--dry-run"]) == 1
    assert "failed" in (said := capsys.readouterr().err)
    assert "selected" not in said


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["no_such_model", "1"], 2, "no_such_model"),
        ([MODEL, "3.0"], 1, "no version of bright_discs is 3.0"),
        ([MODEL, "2.0.0", "--route", "skin"], 2, "no route to bright_discs is named 'skin'; there are: balls"),
        ([MODEL, "2.0.0", "--since", "yesterday"], 2, "--since"),
        ([MODEL, "2.0.0", "--since", "2026-02-01", "--until", "2026-01-01"], 2, "it is not after --since"),
        (["lung_nodule_ct", "0.0"], 1, "no version of lung_nodule_ct is 0.0"),
        ([MODEL, "1.0.0"], 2, "bright_discs 1.0.0 serves: its results are delivered"),
        ([MODEL, "2.0.0"], 1, "no stored unit of this time was selected by a route of bright_discs"),
    ],
)
def test_what_cannot_be_tried_is_one_line(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, expected: str
) -> None:
    assert run(["models", "activate", MODEL, "1.0.0"]) == 0
    capsys.readouterr()
    assert run(["trial", *arguments]) == status
    assert expected in capsys.readouterr().err.splitlines()[-1]
    assert trial_events(database) == []


def test_a_retired_version_and_a_model_without_a_route_are_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "activate", MODEL, "1.0.0"]) == 0
    assert run(["models", "retire", MODEL, "2.0.0"]) == 0
    assert run(["trial", MODEL, "2.0.0"]) == 2
    assert "is retired, and workers refuse its results" in capsys.readouterr().err
    assert run(["models", "shadow", MODEL, "2.0.0"]) == 0
    config = Path(os.environ["DICOM_NODE_CONFIG"])
    config.write_text(config.read_text().replace(f'model = "{MODEL}"', 'model = "lung_nodule_ct"'))
    assert run(["trial", MODEL, "2.0.0"]) == 2
    assert "no route names bright_discs" in capsys.readouterr().err
