"""``lung_nodule_ct`` as the runtime loads it: a volume in, nodules out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.records import Code, Finding, HeatMap, Measurement, ModelIdentity, Prediction
from core.states import Outcome, Tier
from imaging.volume import Volume
from models.card import ModelCard
from models.lung_nodule_ct import network
from models.lung_nodule_ct.detect import Candidate, candidates, heat_in
from models.lung_nodule_ct.fitness import no_chest, not_covered, unfit
from models.lung_nodule_ct.lungs import lung_field
from models.threads import cpu_threads

DIAMETER = Code("81827009", "SCT", "Diameter")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
VOLUME = Code("118565006", "SCT", "Volume")
LUNG = Code("39607008", "SCT", "Lung")
MM = Code("mm", "UCUM", "mm")
MM3 = Code("mm3", "UCUM", "cubic millimeter")
# Fixed, so that the same series gives the same bits; one, because two wait for each other on a busy machine (measured: twice the
# CPU time). A worker has processes for the rest.
THREADS = 1


class Model:
    """Loaded weights of one card on one device."""

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._network = network.build(card.network)
        self._network.load_state_dict(load_file(weights))
        self._network.eval().to(device)

    def warm(self) -> None:
        """One forward pass, so that the first series does not pay for it."""
        with torch.inference_mode(), cpu_threads(THREADS):
            self._network(torch.zeros(1, 1, 32, 32, 32, device=self.device))

    def evidence(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """None: this model has no map of evidence."""
        return None

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        """One prediction per series, in their order."""
        return [self._one(volume) for volume in items]

    def _one(self, volume: Volume) -> Prediction:
        looked_for = self.card.looked_for
        reason = unfit(volume)
        lungs = None if reason else lung_field(volume.hu, volume.spacing_mm)
        reason = reason or no_chest(lungs, volume)
        if lungs is None or reason:
            return Prediction(Outcome.NOT_ANALYSED, reason=reason, looked_for=looked_for, notes=volume.notes)
        with cpu_threads(THREADS):
            heat = heat_in(lungs, self._network, volume.hu, volume.spacing_mm, self.device)
        found = candidates(heat, self.card.thresholds)
        most = int(self.card.thresholds["most_findings"])
        notes = [*volume.notes, *not_covered(lungs, volume)]
        if len(found) > most:
            notes.append(f"{len(found)} candidates were above the operating point; the {most} with the highest score are given")
        findings = tuple(self._finding(volume, candidate) for candidate in found[:most])
        outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
        return Prediction(outcome, findings, looked_for=looked_for, notes=tuple(notes))

    def _finding(self, volume: Volume, candidate: Candidate) -> Finding:
        z, y, x = candidate.centre
        slice_index = int(np.clip(round(z), 0, volume.hu.shape[0] - 1))
        label = self.card.labels[0]
        return Finding(
            label=label.name,
            code=label.code,
            score=round(candidate.score, 4),
            # Nothing has calibrated this score: no finding is ever of the high tier.
            tier=Tier.REVIEW if candidate.score >= self.card.tiers.review else Tier.UNCERTAIN,
            position_mm=volume.lps(z, y, x),
            diameter_mm=round(candidate.diameter_mm, 1),
            sop_instance_uid=volume.sop_instance_uids[slice_index],
            frame=volume.frame_numbers[slice_index],
            image_point=(x + 0.5, y + 0.5),
            measurements=(
                Measurement(DIAMETER, round(candidate.diameter_mm, 1), MM),
                Measurement(LONG_AXIS, round(candidate.long_axis_mm, 1), MM),
                Measurement(VOLUME, round(candidate.volume_mm3, 0), MM3),
            ),
            site=LUNG,
        )

