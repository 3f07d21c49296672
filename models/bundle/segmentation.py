"""An imported segmentation network behind the runtime's Model protocol: CT volumes to the connected regions of every class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core.concepts import codes
from core.errors import ModelError
from core.records import Finding, HeatMap, Mask, Measurement, ModelIdentity, Prediction
from core.states import Outcome
from imaging import masks
from imaging.ndimage import ndimage
from imaging.volume.volume import Volume
from models.batch_halves import run_in_halves
from models.bundle import segmentation_networks
from models.bundle.input_grid import THREADS, bundle_grid, flips_to_ras, network_input
from models.bundle.series_results import make_finding, refuse_other_orientation
from models.card import ModelCard
from models.ct.isotropic_grid import ResamplingGrid, resample
from models.finite_output import require_finite_output
from models.torch_threads import cpu_threads
from models.weights import load_weights

TOLERANCE = 1e-6


class BundleSegmenter:
    """CT volumes to predictions by an imported segmentation network."""

    batch = 1  # series are computed one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        classes = foreground_classes(card.network)
        if len(card.labels) != classes:
            raise ModelError(f"{card.name}: the network has {classes} classes besides the background, the card {len(card.labels)} labels")
        net = segmentation_networks.build(card.network)
        load_weights(net, weights, card)
        require_finite_output(net, f"{card.name} {card.version}: the network's")
        self._net = net.eval().requires_grad_(False).to(device)

    def warm_up(self) -> None:
        """Run the network on one window."""
        self._probabilities(np.zeros([int(one) for one in self.card.preprocessing["window"]], np.float32))

    def heat_map(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """None: the masks of the findings are the evidence."""
        return None

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        """One prediction per series, in order."""
        return [refuse_other_orientation(volume, self.card) or self._segment(volume) for volume in items]

    def _segment(self, volume: Volume) -> Prediction:
        grid, flips = bundle_grid(volume, self.card.preprocessing["pixdim_mm"]), flips_to_ras(volume)
        with cpu_threads(THREADS):
            probabilities = self._probabilities(network_input(volume, grid, flips, self.card))
        for axis, flip in enumerate(flips):
            probabilities = np.flip(probabilities, axis + 1) if flip else probabilities
        found = sorted(
            self._findings(volume, grid, probabilities.transpose(0, 3, 2, 1)), key=lambda one: (-(one.score or 0.0), one.position_mm)
        )
        most, notes = int(self.card.thresholds["most_findings"]), list(volume.notes)
        if len(found) > most:
            notes.append(f"{len(found)} regions were above the operating point; the {most} with the highest score are given")
        outcome = Outcome.FINDINGS if found else Outcome.NO_FINDING
        return Prediction(outcome, tuple(found[:most]), looked_for=self.card.looked_for, notes=tuple(notes))

    def _probabilities(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(X, Y, Z) to (classes, X, Y, Z): the probability of each class but the background."""
        from monai.inferers.utils import sliding_window_inference

        settings, on_cuda = self.card.preprocessing, self.device == "cuda"
        values = torch.from_numpy(np.ascontiguousarray(image))[None, None]

        def run(_: slice) -> Any:
            return sliding_window_inference(
                values.to(self.device),
                [int(one) for one in settings["window"]],
                1,
                self._net,
                overlap=settings["overlap"],
                mode=settings.get("blend", "constant"),  # cards that were imported before have no such key
            )

        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.float16, enabled=on_cuda):
            (logits,) = run_in_halves(run, 1)
        one = logits[0].float()
        probabilities = torch.softmax(one, 0)[1:] if self.card.network["activation"] == "softmax" else torch.sigmoid(one)
        out: npt.NDArray[np.float32] = probabilities.cpu().numpy()
        return out

    def _findings(self, volume: Volume, grid: ResamplingGrid, probabilities: npt.NDArray[np.float32]) -> list[Finding]:
        """Regions of every class on the series' own voxels; ``probabilities`` (classes, Z, Y, X) on ``grid``."""
        z, y, x = (1.0 / step for step in grid.step)
        shape = (volume.hu.shape[0], volume.hu.shape[1], volume.hu.shape[2])
        own_voxels = ResamplingGrid((0.0, 0.0, 0.0), (z, y, x), shape)
        voxel_mm3 = float(np.prod(volume.spacing_mm))
        limits, found = self.card.thresholds, []
        highest = None
        if self.card.network["activation"] == "softmax":  # a voxel is of one class, or of the background
            highest = resample(np.maximum(probabilities.max(axis=0), 1.0 - probabilities.sum(axis=0)), own_voxels, smooth=False)
        for index, probability in enumerate(probabilities):
            own = resample(probability, own_voxels, smooth=False)
            inside = own >= limits["score"]
            if highest is not None:
                inside &= own >= highest - TOLERANCE
            labels, _ = ndimage.label(inside)
            for number, box in enumerate(ndimage.find_objects(labels), start=1):
                region = labels[box] == number
                size = float(region.sum()) * voxel_mm3
                if size >= limits["volume_mm3"]:
                    found.append(self._finding(volume, index, box, region, size, float(own[box][region].mean())))
        return found

    def _finding(
        self, volume: Volume, label: int, box: tuple[slice, ...], region: npt.NDArray[np.bool_], size_mm3: float, score: float
    ) -> Finding:
        z, y, x = (float(at.mean()) + part.start for at, part in zip(np.nonzero(region), box, strict=True))
        packed = masks.pack_mask(region)
        diameter = round((6 * size_mm3 / np.pi) ** (1 / 3), 1)
        origin = tuple(int(part.start) for part in box)
        measurements = (
            Measurement(codes.DIAMETER, diameter, codes.MILLIMETER),
            Measurement(codes.VOLUME, round(size_mm3, 0), codes.CUBIC_MILLIMETER),
        )
        mask = None if packed is None else Mask((origin[0], origin[1], origin[2]), packed.shape, packed.bits)
        return make_finding(
            volume, self.card, label=label, score=score, voxel=(z, y, x), diameter_mm=diameter, measurements=measurements, mask=mask
        )


def foreground_classes(network: Mapping[str, Any]) -> int:
    """The number of classes without the background, for which a softmax has a channel and sigmoids have none."""
    return int(network["out_channels"]) - (1 if network["activation"] == "softmax" else 0)
