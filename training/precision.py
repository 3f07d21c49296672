"""The precision of a training's convolutions: bfloat16 where the processor computes it in hardware, else float32."""

from functools import cache

import torch

HARDWARE_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # names of torch.cpu.get_capabilities()


@cache
def has_hardware_bfloat16(device: str = "cpu") -> bool:
    """Whether ``device`` computes bfloat16 in hardware; every GPU that is used here does.

    A processor that only emulates it takes seven times as long as in float32 (ResNet of 192 x 256 pixels, AMD EPYC with AVX2, one thread).
    """
    if not device.startswith("cpu"):
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in HARDWARE_BFLOAT16)


def mixed_precision(device: str = "cpu") -> torch.amp.autocast:
    """Context in which convolutions run in bfloat16 where that is fast; without effect elsewhere."""
    return torch.amp.autocast(device.partition(":")[0], dtype=torch.bfloat16, enabled=has_hardware_bfloat16(device))


def precision_name(device: str = "cpu") -> str:
    """The precision for the card's line on the machine: "bfloat16" or "float32"."""
    return "bfloat16" if has_hardware_bfloat16(device) else "float32"
