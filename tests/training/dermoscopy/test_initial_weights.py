"""dermoscopy_7class: initial weights, and hairs and ink over random views."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.errors import ModelError
from models import registry
from models.dermoscopy.network import build
from training import commands
from training.dermoscopy.fit.initial_weights import initial_weights
from training.dermoscopy.fit.recipe import STAGES
from training.dermoscopy.views.hair_and_ink import hair_drawings, ink_drawings, overlay_hair_and_ink

NAME = "dermoscopy_7class"


def test_a_training_can_start_from_the_shipped_weights() -> None:
    found, digest = initial_weights(registry.verify_weights(registry.folder(NAME)), STAGES["first"], 7)
    net = build(STAGES["first"], 7)
    assert found.keys() == net.state_dict().keys()
    assert digest == registry.card(NAME).weights_sha256
    net.load_state_dict(found)


def test_a_bare_resnet_fits_and_a_head_for_other_classes_is_left_out(tmp_path: Path) -> None:
    other = build(STAGES["first"], 3).trunk.state_dict()
    save_file({key: value.contiguous() for key, value in other.items()}, tmp_path / "bare.safetensors")
    found, _ = initial_weights(tmp_path / "bare.safetensors", STAGES["first"], 7)
    assert torch.equal(found["trunk.conv1.weight"], other["conv1.weight"])
    assert not [name for name in found if name.startswith("trunk.fc")]


def test_a_file_without_fitting_tensors_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"something": torch.zeros(3, 3)}, path)
    with pytest.raises(ModelError, match="none of its 1 tensors fits"):
        initial_weights(path, STAGES["first"], 7)
    path.write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        initial_weights(path, STAGES["first"], 7)
    with pytest.raises(ModelError, match=r"lung_nodule_ct takes no --init"):
        commands.train("lung_nodule_ct", tmp_path, tmp_path / "out", {"init": path})
    assert not (tmp_path / "out").exists()


def test_hairs_and_ink_cover_some_views_and_depend_on_the_seed_only() -> None:
    given = torch.full((400, 3, 64, 64), 180.0)
    first = overlay_hair_and_ink(given.clone(), torch.Generator().manual_seed(1))
    assert torch.equal(first, overlay_hair_and_ink(given.clone(), torch.Generator().manual_seed(1)))
    assert not torch.equal(first, overlay_hair_and_ink(given.clone(), torch.Generator().manual_seed(2)))
    touched = (first != 180).flatten(1).any(1)
    assert 0.2 < touched.float().mean() < 0.45
    assert first.min() >= 0
    assert first.max() <= 255
    covered = [(bank > 127).float().mean().item() for bank in (hair_drawings(), ink_drawings())]
    assert 0.005 < covered[0] < 0.1
    assert 0.01 < covered[1] < 0.3
