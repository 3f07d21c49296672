"""Every family of networks, in 2D and in 3D, from a trained bundle to a valid report: DICOM in, SR out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from core.settings.settings import Settings
from core.states import Outcome, UnitKind
from db.jobs.job_admin import show_job
from tests.support.monai_classifiers import ABOUT, RESNET, drawing, inference, make_classifier, radiograph
from tests.support.queued_jobs import JobFactory
from tests.support.records import rows
from tests.support.series import image
from tests.workers.attempt.test_imported_series import install, valid_object
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime

SENET = {"num_classes": 2, "layers": [1, 1, 1, 1], "inplanes": 16}
VIT = {"hidden_size": 24, "mlp_dim": 48, "num_layers": 2, "num_heads": 2, "classification": True, "num_classes": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "DenseNet121": {"out_channels": 2, "init_features": 8, "growth_rate": 4, "block_config": [2, 2]},
    "resnet10": {"num_classes": 2, "widen_factor": 0.125, "conv1_t_size": 3},
    "SEResNet50": SENET,
    "EfficientNetBN": {"model_name": "efficientnet-b0", "num_classes": 2},
    "ViT": VIT,
}
SIZES = {2: {"img_size": [64, 64], "patch_size": [16, 16]}, 3: {"img_size": [32, 32, 16], "patch_size": [8, 8, 8]}}
STEPS = 1  # changes every weight; what a network says is compared with nothing
SLICES, SIDE = 24, 40
EFFUSION = """
[[labels]]
name = "effusion"
code = { value = "60046008", scheme = "SCT", meaning = "Pleural effusion" }
malignant = false
advice = "An effusion was recognised."
"""


def network(name: str, dims: int) -> dict[str, Any]:
    """The network_def of a family for images with one channel."""
    channels = "n_input_channels" if name == "resnet10" else "in_channels"
    sizes = SIZES[dims] if name == "ViT" else {}
    return {"_target_": name, "spatial_dims": dims, channels: 1, **NETWORKS[name], **sizes}


def resized(config: dict[str, Any]) -> dict[str, Any]:
    """The step that sets the size of the network's input."""
    (step,) = [step for step in config["preprocessing"]["transforms"] if step["_target_"] == "Resized"]
    return step


def ct_series() -> list[FileDataset]:
    """A small CT series with a bright ball."""
    hu = (drawing(True, 3, (SLICES, SIDE, SIDE), 0.4).astype(np.float32) * 400 / 255 - 200).astype(np.int16)
    common: dict[str, Any] = {"study": 8900, "side": SIDE, "RescaleIntercept": 0, "PixelSpacing": [1.5, 1.5]}
    return [image(number=index + 1, PixelData=plane.tobytes(), **common) for index, plane in enumerate(hu)]


def analyse(runtime: ChildRuntime, factory: JobFactory, images: Sequence[FileDataset], digest: str) -> int:
    """Queue and analyse one unit; return its job."""
    kind = UnitKind.IMAGE if len(images) == 1 else UnitKind.SERIES
    job, _ = factory.queue(list(images), kind, "bright_discs", version="1.0.0", digest=digest)
    wake_up.handle_wake_up(runtime)
    return job


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_family_gives_a_report(
    name: str, dims: int, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    config = inference(network(name, dims), dims=dims)
    if name == "EfficientNetBN" and dims == 3:  # MONAI pads for images of 224 pixels: a side of 16 ends smaller than a kernel
        resized(config)["spatial_size"] = [32, 32, 32]
    bundle = make_classifier(tmp_path / "zoo" / "bundle", config, steps=STEPS)
    version = install(bundle, ABOUT, settings, tmp_path)
    job = analyse(runtime, factory, [radiograph(True, 1)] if dims == 2 else ct_series(), version.digest)
    shown = show_job(runtime.database, job)
    assert shown["outcome"] in (Outcome.FINDINGS, Outcome.NO_FINDING, Outcome.ABSTAINED), shown["reason"]
    report = valid_object(runtime, job, "sr", tmp_path)
    assert any("bright_discs" in str(element.value) for element in report.iterall() if element.VR != "SQ")
    probabilities = rows(runtime.database, f"SELECT probabilities FROM jobs WHERE id = {job}")[0][0]
    assert set(probabilities) == {"disc", "nothing"}  # type: ignore[call-overload]
    assert sum(probabilities.values()) == pytest.approx(1.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dims", [2, 3])
def test_classes_that_do_not_exclude_each_other_are_findings_of_one_report(
    dims: int, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    """Sigmoids: every class from the operating point on is a finding, here all three."""
    about = ABOUT.replace("finding = false\n", "") + EFFUSION + "[thresholds]\nscore = 0.0\n"
    config = inference({**RESNET, "n_input_channels": 1, "num_classes": 3, "spatial_dims": dims}, "sigmoid", dims)
    version = install(make_classifier(tmp_path / "zoo" / "bundle", config), about, settings, tmp_path)
    job = analyse(runtime, factory, [radiograph(True, 1)] if dims == 2 else ct_series(), version.digest)
    shown = show_job(runtime.database, job)
    assert shown["outcome"] == Outcome.FINDINGS, shown["reason"]
    found = rows(runtime.database, f"SELECT label FROM findings WHERE job_id = {job} ORDER BY label")
    assert found == [("disc",), ("effusion",), ("nothing",)]
    report = valid_object(runtime, job, "sr", tmp_path)
    meanings = {str(element.value) for element in report.iterall() if element.keyword == "CodeMeaning"}
    assert {"Nodule", "Normal", "Pleural effusion"} <= meanings
