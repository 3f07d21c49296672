"""A slim two-dimensional MONAI ResNet: its feature maps by stage, and its head."""

import torch
from monai.networks.nets.resnet import ResNet


def slim_resnet(channels: int, answers: int, widths: list[int], layers: list[int], dropout: float) -> ResNet:
    """A ResNet of basic blocks with dropout before its head; ``widths`` and ``layers`` of its four stages.

    The names of its attributes are part of the names of the shipped weights.
    """
    net = ResNet(
        block="basic",
        layers=layers,
        block_inplanes=widths,
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=3,
        conv1_t_stride=2,
        num_classes=answers,
        bias_downsample=False,
    )
    net.fc = torch.nn.Sequential(torch.nn.Dropout(dropout), net.fc)  # type: ignore[assignment, arg-type]
    return net


def stage_maps(net: ResNet, values: torch.Tensor) -> list[torch.Tensor]:
    """The feature maps of the four stages, fine to coarse: from 1/4 to 1/32 of the image's side."""
    x = net.conv1(values.contiguous(memory_format=torch.channels_last))
    x = net.maxpool(net.act(net.bn1(x)))
    found = []
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        found.append(x)
    return found


def pooled_features(net: ResNet, last: torch.Tensor) -> torch.Tensor:
    """The last map (B, width, Y, X) to (B, width): global average pooling."""
    return torch.flatten(net.avgpool(last), 1)


def head_logits(net: ResNet, features: torch.Tensor) -> torch.Tensor:
    """(B, width) pooled features to (B, answers) logits."""
    logits: torch.Tensor = net.fc(features)  # type: ignore[misc]
    return logits
