"""An imported classifier behind the runtime's Model protocol: photographs or CT volumes to classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from core.errors import ModelError
from core.records import HeatMap, ModelIdentity, Prediction
from imaging.masks import pack_heat_map
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models.batch_halves import run_in_halves
from models.bundle.classifier import networks
from models.bundle.classifier.predictions import class_prediction
from models.bundle.classifier.transforms import compose, image_channels
from models.bundle.input_grid import THREADS, bundle_grid, flips_to_ras
from models.bundle.series_results import refuse_other_orientation
from models.card import ModelCard
from models.classifier.calibration import class_values
from models.classifier.heat_map import evidence_meaning, layer_grad_cam, scale_to_unit
from models.classifier.predictions import label_index
from models.ct.isotropic_grid import resample
from models.finite_output import require_finite_output
from models.torch_threads import cpu_threads
from models.weights import load_weights


class BundleClassifier:
    """Images or series to predictions by an imported classification network.

    Every unit is a pass of its own, so that no bit of its result depends on other units.
    """

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._dims = int(card.network["dims"])
        self._channels = image_channels(card.preprocessing["steps"], int(card.network["channels"]))
        self.batch = 8 if self._dims == 2 else 1
        if len(card.labels) != card.network["classes"]:
            raise ModelError(f"{card.name}: the network has {card.network['classes']} classes, the card {len(card.labels)} labels")
        net = networks.build(card.network)
        load_weights(net, weights, card)
        require_finite_output(net, f"{card.name} {card.version}: the network's")
        self._net = net.eval().requires_grad_(False).to(device)
        self._layer = networks.family_of(card.network["kind"]).evidence
        self._steps = compose(card.preprocessing["steps"])

    def warm_up(self) -> None:
        """Run one forward pass on a small image or volume, or on one of the size that a ViT is made for."""
        size = self.card.network["arguments"].get("img_size", 64)
        shape = size if isinstance(size, list) else [size] * self._dims
        self._class_values(self._prepare(np.zeros((self._channels, *shape), np.float32)))

    def predict(self, items: Sequence[Any]) -> list[Prediction]:
        """One prediction per photograph or series, in order."""
        return [self._classify(item) for item in items]

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """Evidence for the first finding (Grad-CAM); None without a finding, and for networks without feature maps (ViT)."""
        if not self._layer or not prediction.findings:
            return None
        first = prediction.findings[0]
        values, meaning = self._evidence(self._array(item), first.label), evidence_meaning(first.code.meaning)
        if isinstance(item, Photograph):
            return pack_heat_map(values.T[None], meaning=meaning)
        for axis, flip in enumerate(flips_to_ras(item)):
            values = np.flip(values, axis) if flip else values
        return pack_heat_map(values.transpose(2, 1, 0), step=self._grid(item).step, meaning=meaning)

    def _evidence(self, array: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        """Grad-CAM for the label ``name`` on the grid of ``array``, without its channels, 0..1; 0 where a crop removed the image."""
        from monai.data.meta_tensor import MetaTensor

        with cpu_threads(THREADS):
            image = self._prepare(array)
            heat = layer_grad_cam(self._net, self._layer, image, label_index(self.card, name), self.card.network["activation"])
        made = MetaTensor(heat.cpu(), meta=image.meta, applied_operations=list(image.applied_operations))
        return scale_to_unit(np.asarray(self._steps.inverse(made)[0], np.float32))

    def _classify(self, item: Any) -> Prediction:
        if isinstance(item, Volume):
            if refused := refuse_other_orientation(item, self.card):
                return refused
            return class_prediction(self.card, self._class_values(self._prepare(self._array(item)))[0], notes=item.notes)
        values = self._class_values(self._prepare(self._array(item)))[0]
        return class_prediction(self.card, values, notes=item.notes, sop_instance_uid=item.sop_instance_uid)

    def _array(self, item: Photograph | Volume) -> npt.NDArray[np.float32]:
        """(C, X, Y) or (1, X, Y, Z): the axes in the order of MONAI's readers, which is not that of the pixels in the file."""
        if isinstance(item, Photograph):
            return self._picture(item.rgb)
        values = resample(item.hu, self._grid(item)).transpose(2, 1, 0)
        for axis, flip in enumerate(flips_to_ras(item)):
            values = np.flip(values, axis) if flip else values
        return np.ascontiguousarray(values[None], np.float32)

    def _picture(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(C, X, Y) of (Y, X, 3); C is 1 where the network takes grey images, or repeats their channel."""
        image = np.asarray(Image.fromarray(rgb).convert("L"))[..., None] if self._channels == 1 else rgb
        return np.ascontiguousarray(image.transpose(2, 1, 0), np.float32)

    def _grid(self, volume: Volume) -> Any:
        return bundle_grid(volume, self.card.preprocessing["pixdim_mm"] or list(reversed(volume.spacing_mm)))

    def _prepare(self, array: npt.NDArray[np.float32]) -> Any:
        """The network's input as a MetaTensor, which remembers the spatial transforms."""
        from monai.data.meta_tensor import MetaTensor

        return self._steps(MetaTensor(torch.from_numpy(array))).to(self.device)

    def _class_values(self, *images: Any) -> npt.NDArray[np.float64]:
        """(N, C) probabilities or scores of the classes for N images of one size, in one pass, or in as many as memory needs."""
        logits = np.concatenate(run_in_halves(lambda part: self._logits(images[part]), len(images)))
        return class_values(logits, self.card.network["activation"], self.card.temperature)

    def _logits(self, images: Sequence[Any]) -> npt.NDArray[np.float32]:
        on_cuda = self.device == "cuda"
        with cpu_threads(THREADS), torch.inference_mode(), torch.autocast("cuda", dtype=torch.float16, enabled=on_cuda):
            output = self._net(torch.stack([torch.as_tensor(image) for image in images]))
        logits: npt.NDArray[np.float32] = (output[0] if isinstance(output, tuple) else output).float().cpu().numpy()
        return logits
