"""Results for destinations with different profiles: a real model's segmentation and heat map, and results without a heat map."""

import base64
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.records import HeatMap, Mask
from core.settings.settings import Settings
from db.engine import Database
from db.jobs.job_admin import show_job
from deploy.settings_file import load_settings
from imaging.masks import unpack_mask
from models import registry
from tests.support import node_toml, queued_jobs
from tests.support.queued_jobs import SKIN, JobFactory
from tests.support.records import rows
from tests.workers.conftest import child_runtime, texts_of
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime
from workers.encode.validate.validator import validate

PROFILES = {
    "viewer": ["sr", "seg", "heatmap"],
    "plain": ["heatmap", "pdf"],
    "ris": ["sr"],
}


def configured(folder: Path, database_url: str, *, budget_s: float = 60.0, keep_heat_maps: bool = True) -> Settings:
    """Three destinations, a profile each."""
    text = queued_jobs.config_text(lease_s=60.0, soft_s=200.0, hard_s=260.0)
    text = text.replace("max_attempts = 3", f"max_attempts = 3\nheat_map_budget_s = {budget_s}")
    if keep_heat_maps:
        text = text.replace("keep_heat_maps = false", "keep_heat_maps = true")
    for port, (name, objects) in enumerate(PROFILES.items(), 4250):
        text += node_toml.pacs(port, name, name.upper(), objects=objects)
    path = folder / "node.toml"
    path.write_text(text)
    return load_settings(path, queued_jobs.server_url_variables(database_url, ""))


def runtime_and_queueing(settings: Settings, database: Database) -> tuple[ChildRuntime, JobFactory]:
    runtime = child_runtime(settings, database)
    return runtime, JobFactory(database, runtime.blobs)


def delivered(database: Database, job_id: int) -> dict[str, list[str]]:
    """Destination -> profiles of what it gets, in the order in which it is sent."""
    found: dict[str, list[str]] = {}
    query = """
        SELECT d.destination, r.profile FROM deliveries d JOIN reports r ON r.id = d.report_id
        WHERE d.job_id = {} AND d.state = 'pending' ORDER BY d.id
    """
    for destination, profile in rows(database, query.format(job_id)):
        found.setdefault(str(destination), []).append(str(profile))
    return found


def objects_of(runtime: ChildRuntime, job_id: int) -> dict[str, Dataset]:
    """Profile -> object, every one of them clean."""
    found = {}
    for profile, sha256 in rows(runtime.database, f"SELECT profile, sha256 FROM reports WHERE job_id = {job_id} ORDER BY id"):
        content = runtime.blobs.read(str(sha256))
        assert validate(content) == ()
        found[str(profile)] = dcmread(io.BytesIO(content))
    return found


def named(report: Dataset) -> set[str]:
    return {str(element.value) for element in report.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_each_destination_gets_its_profile_with_the_model_s_heat_map(tmp_path: Path, database: Database, database_url: str) -> None:
    runtime, queue = runtime_and_queueing(configured(tmp_path, database_url), database)
    job_id, _ = queue.photograph(1, destinations=tuple(PROFILES))
    assert wake_up.handle_wake_up(runtime) == 1
    assert show_job(database, job_id)["outcome"] == "findings"
    assert delivered(database, job_id) == {
        "viewer": ["seg", "heatmap", "sr+heatmap+seg"],
        "plain": ["heatmap", "pdf"],
        "ris": ["sr"],
    }
    made = objects_of(runtime, job_id)
    companions = {str(made[profile].SOPInstanceUID) for profile in ("seg", "heatmap")}
    assert companions <= named(made["sr+heatmap+seg"])
    assert str(made["pdf"].SOPInstanceUID) not in named(made["sr+heatmap+seg"])
    assert not named(made["sr"]) & {str(one.SOPInstanceUID) for one in made.values()}
    assert all("(research)" in str(one.SeriesDescription) for one in made.values())
    assert made["seg"].pixel_array.any()
    _assert_kept_for_the_viewer(runtime, job_id, int(made["seg"].pixel_array.sum()))


def _assert_kept_for_the_viewer(runtime: ChildRuntime, job_id: int, pixels: int) -> None:
    ((sha256,),) = rows(runtime.database, f"SELECT sha256 FROM result_overlays WHERE job_id = {job_id}")
    kept = json.loads(gzip.decompress(runtime.blobs.read(str(sha256))))
    (mask,) = kept["masks"]
    bits = unpack_mask(Mask(tuple(mask["origin"]), tuple(mask["shape"]), base64.b64decode(mask["bits"])))
    assert int(bits.sum()) == pixels, "the outline is that of the segmentation"
    assert "Grad-CAM" in kept["heat"]["meaning"]


def test_a_heat_map_over_its_time_budget_is_left_out_with_a_note(
    tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, queue = runtime_and_queueing(configured(tmp_path, database_url, budget_s=0.001), database)

    def endless(*_: object) -> HeatMap | None:
        while True:
            torch.linalg.inv(torch.eye(50))

    monkeypatch.setattr(runtime.models.load(SKIN, registry.pipeline_digest(SKIN)), "heat_map", endless)
    job_id, _ = queue.photograph(1, destinations=tuple(PROFILES))
    wake_up.handle_wake_up(runtime)
    _assert_reported_without_heat_map(runtime, job_id, "it took longer than 0.001 s")


def test_a_heat_map_that_fails_is_left_out_with_a_note(
    tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, queue = runtime_and_queueing(configured(tmp_path, database_url), database)

    def broken(*_: object) -> HeatMap | None:
        raise RuntimeError("no gradient")

    monkeypatch.setattr(runtime.models.load(SKIN, registry.pipeline_digest(SKIN)), "heat_map", broken)
    job_id, _ = queue.photograph(1, destinations=tuple(PROFILES))
    wake_up.handle_wake_up(runtime)
    _assert_reported_without_heat_map(runtime, job_id, "making it failed")


def test_a_heat_map_that_is_no_number_is_an_error_of_the_job(
    tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, queue = runtime_and_queueing(configured(tmp_path, database_url), database)
    model = runtime.models.load(SKIN, registry.pipeline_digest(SKIN))
    monkeypatch.setattr(model, "evidence_map", lambda *_: np.full((20, 20), np.nan, np.float32))
    job_id, _ = queue.photograph(1, destinations=tuple(PROFILES))
    while wake_up.handle_wake_up(runtime):
        pass
    shown = show_job(runtime.database, job_id)
    assert "the heat map holds values that are no numbers" in shown["reason"]
    assert rows(runtime.database, "SELECT count(*) FROM findings") == [(0,)]
    assert not {kind for (kind,) in rows(runtime.database, "SELECT kind FROM reports")} & {"seg", "heatmap", "parametric_map"}


def _assert_reported_without_heat_map(runtime: ChildRuntime, job_id: int, why: str) -> None:
    shown = show_job(runtime.database, job_id)
    assert shown["job_state"] == "reported"
    assert f"Without a map of the evidence: {why}." in shown["notes"]
    assert f"Without a map of the evidence: {why}." in texts_of(objects_of(runtime, job_id)["sr"])


def test_no_heat_map_is_made_if_neither_viewer_nor_destination_takes_it(
    tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, queue = runtime_and_queueing(configured(tmp_path, database_url, keep_heat_maps=False), database)
    asked: list[object] = []
    monkeypatch.setattr(runtime.models.load(SKIN, registry.pipeline_digest(SKIN)), "heat_map", lambda *given: asked.append(given))
    job_id, _ = queue.photograph(1, destinations=("ris",))
    wake_up.handle_wake_up(runtime)
    assert (asked, delivered(database, job_id)) == ([], {"ris": ["sr"]})
