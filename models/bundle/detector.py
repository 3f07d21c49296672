"""An imported detector as the runtime loads it: a chest CT volume in, boxes out, as findings with a score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from core.records import Code, Finding, HeatMap, Measurement, ModelIdentity, Prediction
from core.states import Outcome, Tier
from imaging.volume.volume import Volume
from models.bundle import detector_network
from models.bundle.resampling import THREADS, aligned, flips_of, grid_of, prepared
from models.card import ModelCard
from models.ct.isotropic_grid import Grid
from models.torch_threads import cpu_threads

DIAMETER = Code("81827009", "SCT", "Diameter")
MM = Code("mm", "UCUM", "mm")


class Model:
    """Loaded weights of one imported card on one device."""

    batch = 1  # one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        if len(card.labels) < int(card.network["num_classes"]):
            raise ModelError(f"{card.name}: the network has {card.network['num_classes']} classes, the card {len(card.labels)} labels")
        net = detector_network.build(card.network)
        try:
            net.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error
        self._detector = detector(net.eval().to(device), card)

    def warm(self) -> None:
        """One forward pass over the smallest input."""
        edge = [2 * one for one in self.card.network["size_divisible"]]
        self._boxes(torch.zeros(1, *edge))

    def evidence(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """None: this model has no map of evidence."""
        return None

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        """One prediction per series, in their order."""
        return [self._one(volume) for volume in items]

    def _one(self, volume: Volume) -> Prediction:
        looked_for = self.card.looked_for
        if not aligned(volume):
            reason = "axial slices are needed, these are of another orientation"
            return Prediction(Outcome.NOT_ANALYSED, reason=reason, looked_for=looked_for, notes=volume.notes)
        grid = grid_of(volume, self.card.preprocessing["pixdim_mm"])
        flips = flips_of(volume)
        boxes, labels, scores = self._boxes(torch.from_numpy(prepared(volume, grid, flips, self.card))[None])
        order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= self.card.thresholds["score"]]
        most = int(self.card.thresholds["most_findings"])
        notes = list(volume.notes)
        if len(order) > most:
            notes.append(f"{len(order)} candidates were above the operating point; the {most} with the highest score are given")
        findings = tuple(self._finding(volume, grid, flips, boxes[i], int(labels[i]), float(scores[i])) for i in order[:most])
        outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
        return Prediction(outcome, findings, looked_for=looked_for, notes=tuple(notes))

    def _boxes(self, image: torch.Tensor) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """(1, X, Y, Z) to boxes (N, 6) as corners in voxels, labels (N,), scores (N,)."""
        window = [int(one) for one in self.card.preprocessing["window"]]
        large = bool(window) and any(have > most for have, most in zip(image.shape[1:], window, strict=True))
        autocast = torch.autocast("cuda", dtype=torch.float16, enabled=self.device == "cuda")
        with torch.inference_mode(), cpu_threads(THREADS), autocast:
            (found,) = self._detector([image.to(self.device)], use_inferer=large)
        return tuple(found[key].float().cpu().numpy() for key in ("box", "label", "label_scores"))

    def _finding(
        self, volume: Volume, grid: Grid, flips: tuple[bool, bool, bool], box: npt.NDArray[np.float64], label: int, score: float
    ) -> Finding:
        # MONAI maps corners with the image's own affine (AffineBoxToWorldCoordinate): whole numbers are centres of voxels.
        middle = [float(value) for value in (box[:3] + box[3:]) / 2]  # a record holds plain numbers: nothing else is stored
        at = [grid.shape[2 - axis] - 1 - middle[axis] if flips[axis] else middle[axis] for axis in range(3)]
        z, y, x = grid.native((at[2], at[1], at[0]))
        extent_mm = (box[3:] - box[:3]) * np.array(self.card.preprocessing["pixdim_mm"])
        diameter = round(float(extent_mm[:2].mean()), 1)
        chosen = self.card.labels[label]
        slice_index = int(np.clip(round(z), 0, volume.hu.shape[0] - 1))
        return Finding(
            label=chosen.name,
            code=chosen.code,
            score=round(score, 4),
            # Nothing here has calibrated this score: no finding is ever of the high tier.
            tier=Tier.REVIEW if score >= self.card.thresholds["review_score"] else Tier.UNCERTAIN,
            position_mm=volume.lps(z, y, x),
            diameter_mm=diameter,
            sop_instance_uid=volume.sop_instance_uids[slice_index],
            frame=volume.frame_numbers[slice_index],
            image_point=(x + 0.5, y + 0.5),
            measurements=(Measurement(DIAMETER, diameter, MM),),
        )


def detector(net: torch.nn.Module, card: ModelCard) -> Any:
    """MONAI's RetinaNetDetector around the network, with the card's anchors and box selection."""
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
            roi_size=card.preprocessing["window"], overlap=card.preprocessing["overlap"], sw_batch_size=1, mode="constant", device="cpu"
        )
    return made.eval()
