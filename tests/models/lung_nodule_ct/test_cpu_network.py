"""The networks as they serve on the CPU and the blended windows: the answers of the plain network and of MONAI's inferer."""

import copy
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from models.ct.isotropic_grid import Float
from models.lung_nodule_ct import heat, network, second_stage
from models.lung_nodule_ct.cpu_network import OneChannelUpsampling, OneDnnConvolution, prepare_for_cpu


@pytest.mark.parametrize(("build", "batch"), [(network.build, 1), (second_stage.build, 2)])
def test_the_prepared_network_gives_the_plain_networks_answers(build: type[nn.Module], batch: int) -> None:
    torch.manual_seed(1)
    plain = build().eval()
    for norm in (module for module in plain.modules() if isinstance(module, nn.BatchNorm3d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    prepared = prepare_for_cpu(copy.deepcopy(plain))
    kinds = [type(module) for module in prepared.modules()]
    assert nn.Conv3d not in kinds
    assert kinds.count(OneDnnConvolution) >= 9
    assert kinds.count(OneChannelUpsampling) == (build is network.build)
    values = torch.randn(batch, 1, 32, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(prepared(values), plain(values), atol=1e-5)


@pytest.mark.parametrize("shape", [(120, 100, 97), (60, 130, 96)])
def test_blended_windows_are_those_of_monai(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    field = np.zeros(shape, dtype=bool)
    field[10:40, 20:60, 50:90] = True

    def run(windows: Sequence[Float]) -> list[Float]:
        return [window * window[:9].mean() + np.linspace(0, 1, 96, dtype=np.float32) for window in windows]

    def run_tensor(windows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.stack(run(list(windows[:, 0].numpy())))[:, None])

    blended = heat.blend_windows(image, field, run)
    whole = sliding_window_inference(
        torch.from_numpy(image)[None, None], (96, 96, 96), 1, run_tensor, overlap=0.25, mode="gaussian", padding_mode="replicate"
    )
    assert isinstance(whole, torch.Tensor)
    assert np.abs(blended - whole.numpy()[0, 0] * field).max() < 1e-6
    assert np.abs(blended[field]).max() > 0.1
