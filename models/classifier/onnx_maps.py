"""The feature maps of a network as they are computed on the CPU: by ONNX Runtime, from the weights in memory.

The answers are those of torch up to rounding, in two thirds of the time of oneDNN's fused layers and a third of that of plain torch
(`make bench SECTION=skin_networks`). Without gradients: Grad-CAM begins behind these maps.
"""

from collections.abc import Callable
from typing import Any

import onnxruntime
import torch
from monai.networks.nets.efficientnet import MBConvBlock
from monai.networks.nets.resnet import ResNet, ResNetBlock
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from models.classifier.efficientnet_lite import LiteTrunk

Maps = Callable[[torch.Tensor], list[torch.Tensor]]
INPUT = "image"
OPERATORS, FORMAT = 17, 8  # versions of ONNX: those of 2022, which every later release of ONNX Runtime reads
ERRORS = 3  # level of the messages on standard error


class OnnxMaps:
    """(B, 3, Y, X) float32, normalised, to the maps that are the outputs of an ONNX graph; on the thread of the caller."""

    def __init__(self, model: ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # an answer must not depend on the number of cores
        options.log_severity_level = ERRORS
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def __call__(self, values: torch.Tensor) -> list[torch.Tensor]:
        """As the class says."""
        return [torch.from_numpy(found) for found in self._session.run(None, {INPUT: values.contiguous().numpy()})]


class Graph:
    """An ONNX graph in the making: every method adds an operator and returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of ONNX."""
        name = f"{operator}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, values: torch.Tensor) -> str:
        """Add constant values."""
        name = f"weight{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.detach().contiguous().numpy(), name))
        return name

    def convolution(self, values: str, layer: nn.Module) -> str:
        """Add a Conv2d, which pads both sides alike."""
        assert isinstance(layer, nn.Conv2d)
        weights = [self.weight(found) for found in (layer.weight, layer.bias) if found is not None]
        geometry = {"pads": [*layer.padding, *layer.padding], "strides": list(layer.stride), "dilations": list(layer.dilation)}
        return self.add("Conv", values, *weights, group=layer.groups, **geometry)

    def model(self, outputs: list[str]) -> ModelProto:
        """Return the graph with these outputs, for inputs (B, 3, Y, X) of any size."""
        images = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["images", 3, "rows", "columns"])
        maps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self._nodes, "feature maps", [images], maps, self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPERATORS)], ir_version=FORMAT)


def lite_maps(trunk: LiteTrunk) -> Maps:
    """The last map of an EfficientNet-Lite in a list, after ``fold_lite``."""
    graph = Graph()
    limits = graph.weight(torch.tensor(0.0)), graph.weight(torch.tensor(6.0))

    def activated(values: str, layer: nn.Module) -> str:
        return graph.add("Clip", graph.convolution(values, layer), *limits)

    found = activated(INPUT, trunk._conv_stem)
    for block in (block for stage in trunk.stages() for block in stage.children()):
        assert isinstance(block, MBConvBlock)
        inner = activated(found, block._expand_conv) if block.expand_ratio != 1 else found
        inner = graph.convolution(activated(inner, block._depthwise_conv), block._project_conv)
        adds = block.id_skip and block.stride == 1 and block.in_channels == block.out_channels
        found = graph.add("Add", inner, found) if adds else inner
    return OnnxMaps(graph.model([activated(found, trunk._conv_head)]))


def resnet_maps(net: ResNet) -> Maps:
    """The maps of the four stages of a ResNet of basic blocks, fine to coarse, after ``fold_resnet``."""
    graph, outputs = Graph(), []
    found = graph.add("Relu", graph.convolution(INPUT, net.conv1))
    pool = net.maxpool
    found = graph.add("MaxPool", found, kernel_shape=[pool.kernel_size] * 2, strides=[pool.stride] * 2, pads=[pool.padding] * 4)
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in layer.children():
            assert isinstance(block, ResNetBlock)
            inner = graph.convolution(graph.add("Relu", graph.convolution(found, block.conv1)), block.conv2)
            changes = isinstance(block.downsample, nn.Sequential)
            shortcut = graph.convolution(found, block.downsample[0]) if changes else found  # type: ignore[index]
            found = graph.add("Relu", graph.add("Add", inner, shortcut))
        outputs.append(found)
    return OnnxMaps(graph.model(outputs))
