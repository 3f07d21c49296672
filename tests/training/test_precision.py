"""The precision of a training: bfloat16 only where the processor computes it in hardware."""

import pytest
import torch

from training import precision


@pytest.mark.parametrize("capable", [True, False])
def test_convolutions_are_half_precision_only_in_hardware(capable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": capable, "avx2": True})
    precision.has_hardware_bfloat16.cache_clear()
    try:
        with precision.mixed_precision():
            result = torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 4, 4))
        assert result.dtype == (torch.bfloat16 if capable else torch.float32)
        assert precision.precision_name() == ("bfloat16" if capable else "float32")
    finally:
        precision.has_hardware_bfloat16.cache_clear()
    assert precision.precision_name("cuda:0") == "bfloat16"
