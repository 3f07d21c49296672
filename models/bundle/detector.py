"""An imported detector behind the runtime's Model protocol: CT volumes to findings at the network's boxes, with a score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from core.errors import ModelError
from core.records import Code, Finding, HeatMap, Measurement, ModelIdentity, Prediction
from core.states import Outcome
from imaging.volume.volume import Volume
from models.batch_halves import run_in_halves
from models.bundle import detector_network
from models.bundle.input_grid import THREADS, bundle_grid, flips_to_ras, network_input
from models.bundle.series_results import make_finding, refuse_other_orientation
from models.card import ModelCard
from models.ct.isotropic_grid import ResamplingGrid
from models.finite_output import require_finite_output
from models.torch_threads import cpu_threads
from models.weights import load_weights

DIAMETER = Code("81827009", "SCT", "Diameter")
MM = Code("mm", "UCUM", "mm")


class BundleDetector:
    """CT volumes to predictions by an imported detection network."""

    batch = 1  # series are computed one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        if len(card.labels) < int(card.network["num_classes"]):
            raise ModelError(f"{card.name}: the network has {card.network['num_classes']} classes, the card {len(card.labels)} labels")
        net = detector_network.build(card.network)
        load_weights(net, weights, card)
        require_finite_output(net, f"{card.name} {card.version}: the network's")
        self._detector = retinanet_detector(net.eval().to(device), card)

    def warm_up(self) -> None:
        """Run one forward pass over the smallest input."""
        edge = [2 * one for one in self.card.network["size_divisible"]]
        self._boxes(torch.zeros(1, *edge))

    def heat_map(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """None: this model has no heat map."""
        return None

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        """One prediction per series, in order."""
        return [refuse_other_orientation(volume, self.card) or self._detect(volume) for volume in items]

    def _detect(self, volume: Volume) -> Prediction:
        grid = bundle_grid(volume, self.card.preprocessing["pixdim_mm"])
        flips = flips_to_ras(volume)
        boxes, labels, scores = self._boxes(torch.from_numpy(network_input(volume, grid, flips, self.card))[None])
        order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= self.card.thresholds["score"]]
        most = int(self.card.thresholds["most_findings"])
        notes = list(volume.notes)
        if len(order) > most:
            notes.append(f"{len(order)} candidates were above the operating point; the {most} with the highest score are given")
        findings = tuple(self._finding(volume, grid, flips, boxes[i], int(labels[i]), float(scores[i])) for i in order[:most])
        outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
        return Prediction(outcome, findings, looked_for=self.card.looked_for, notes=tuple(notes))

    def _boxes(self, image: torch.Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """(1, X, Y, Z) to boxes (N, 6) as corners in voxels, labels (N,), scores (N,)."""
        window = [int(one) for one in self.card.preprocessing["window"]]
        large = bool(window) and any(have > most for have, most in zip(image.shape[1:], window, strict=True))
        autocast = torch.autocast("cuda", dtype=torch.float16, enabled=self.device == "cuda")
        with torch.inference_mode(), cpu_threads(THREADS), autocast:
            ((found,),) = run_in_halves(lambda _: self._detector([image.to(self.device)], use_inferer=large), 1)
        return tuple(found[key].float().cpu().numpy() for key in ("box", "label", "label_scores"))

    def _finding(
        self, volume: Volume, grid: ResamplingGrid, flips: tuple[bool, bool, bool], box: npt.NDArray[np.float64], label: int, score: float
    ) -> Finding:
        # MONAI maps corners with the image's affine (AffineBoxToWorldCoordinate): whole numbers are centres of voxels.
        middle = [float(value) for value in (box[:3] + box[3:]) / 2]  # records hold Python numbers only
        at = [grid.shape[2 - axis] - 1 - middle[axis] if flips[axis] else middle[axis] for axis in range(3)]
        z, y, x = grid.to_native((at[2], at[1], at[0]))
        extent_mm = (box[3:] - box[:3]) * np.array(self.card.preprocessing["pixdim_mm"])
        diameter = round(float(extent_mm[:2].mean()), 1)
        measurements = (Measurement(DIAMETER, diameter, MM),)
        return make_finding(volume, self.card, label=label, score=score, voxel=(z, y, x), diameter_mm=diameter, measurements=measurements)


def retinanet_detector(net: torch.nn.Module, card: ModelCard) -> Any:
    """MONAI's RetinaNetDetector with the network and the card's anchors and box selection."""
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape

    settings, limits = card.network, card.thresholds
    anchors = AnchorGeneratorWithAnchorShape(
        feature_map_scales=settings["feature_map_scales"], base_anchor_shapes=settings["base_anchor_shapes"]
    )
    made = RetinaNetDetector(network=net, anchor_generator=anchors, debug=False)
    made.set_target_keys(box_key="box", label_key="label")
    made.set_box_selector_parameters(
        score_thresh=min(limits.get("score_thresh", 0.05), limits["score"]),
        topk_candidates_per_level=int(limits.get("topk_candidates_per_level", 1000)),
        nms_thresh=limits.get("nms_thresh", 0.22),
        detections_per_img=int(limits.get("detections_per_img", 300)),
    )
    if card.preprocessing["window"]:
        made.set_sliding_window_inferer(
            roi_size=card.preprocessing["window"],
            overlap=card.preprocessing["overlap"],
            sw_batch_size=1,
            mode=card.preprocessing.get("blend", "constant"),  # cards that were imported before have no such key
            device="cpu",
        )
    return made.eval()
