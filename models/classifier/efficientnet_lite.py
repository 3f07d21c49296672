"""EfficientNet-Lite0 without its classifier: MONAI's EfficientNet without squeeze-and-excitation and with ReLU6.

M. Tan, Q. Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019 (arXiv 1905.11946). The Lite variants replace
swish by ReLU6 and leave out squeeze-and-excitation, which makes them fast on a CPU. They exist with ImageNet weights under Apache-2.0.
"""

import torch
from monai.networks.nets.efficientnet import EfficientNet

KIND = "monai.networks.nets.EfficientNet"
# MONAI's notation: repeats, kernel side, stride, expansion, channels in and out. One line is one stage of the network.
STAGES = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)
WIDTH = 1280  # channels of the last map
MULTIPLE_PX = 32  # the padding of the convolutions fits only sides that are multiples of this
MEAN, SCALE = 127.0, 128.0  # the input is (x - MEAN) / SCALE, as the ImageNet weights expect it


class LiteTrunk(EfficientNet):
    """EfficientNet-Lite0 up to its last map, without a classifier. The names of the attributes are MONAI's."""

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__(list(STAGES), image_size=224, dropout_rate=0.0, drop_connect_rate=drop_path)
        self._fc = torch.nn.Identity()  # type: ignore[assignment]
        for module in self.modules():
            if hasattr(module, "_swish"):
                module._swish = torch.nn.ReLU6(inplace=True)

    def stem(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) normalised to (B, 32, Y / 2, X / 2)."""
        stem: torch.Tensor = self._swish(self._bn0(self._conv_stem(self._conv_stem_padding(image))))
        return stem

    def stages(self) -> list[torch.nn.Module]:
        """The seven stages in the order of ``STAGES``."""
        return list(self._blocks)

    def last_map(self, coarse: torch.Tensor) -> torch.Tensor:
        """(B, 320, Y, X), the output of the last stage, to (B, WIDTH, Y, X)."""
        last: torch.Tensor = self._swish(self._bn1(self._conv_head(self._conv_head_padding(coarse))))
        return last


def normalise(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, 3, Y, X) 0..255 to the values that the trunk expects. Raises ValueError for sides that are no multiples of 32."""
    if image.shape[-1] % MULTIPLE_PX or image.shape[-2] % MULTIPLE_PX:
        raise ValueError(f"the sides must be multiples of {MULTIPLE_PX} pixels, not {tuple(image.shape[-2:])}")
    return ((image.to(dtype) - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)
