"""``lung_nodule_ct`` as the runtime loads it: a volume in, nodules out."""

import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.records import HeatMap, ModelIdentity, Prediction
from core.states import Outcome
from imaging import masks
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.ct.lung_field import LungField, lung_field
from models.lung_nodule_ct.detector import Detector
from models.lung_nodule_ct.findings import finding
from models.lung_nodule_ct.heat_map import Heat
from models.lung_nodule_ct.suitability import no_chest, not_covered, unfit
from models.torch_threads import cpu_threads

# Fixed, so that the same series gives the same bits; one, because two wait for each other on a busy machine (measured: twice the
# CPU time). A worker has processes for the rest.
THREADS = 1
MEANING = "how much the first stage takes a voxel for a part of a nodule, 0 to 1, outside the lung field 0; no probability"


class Model:
    """Loaded weights of one card on one device."""

    batch = 1  # one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._detector = Detector(weights, card.network, device)
        # The heat of the last series, so that the map of evidence costs no second pass; the series itself is not kept alive.
        self._last: tuple[weakref.ref[np.ndarray], HeatMap] | None = None

    def warm(self) -> None:
        """One forward pass, so that the first series does not pay for it."""
        with cpu_threads(THREADS):
            self._detector.warm()

    def evidence(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """The first stage's heat on its grid of 1 mm; None where the series was not analysed."""
        if prediction.outcome not in (Outcome.FINDINGS, Outcome.NO_FINDING):
            return None
        if self._last is None or self._last[0]() is not item.hu:
            lungs = lung_field(item.hu, item.spacing_mm)
            if lungs is None:
                return None
            self._heat(item, lungs)
        return None if self._last is None else self._last[1]

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
        heat = self._heat(volume, lungs)
        with cpu_threads(THREADS):
            found = self._detector.candidates(heat, self.card.thresholds)
        most = int(self.card.thresholds["most_findings"])
        notes = [*volume.notes, *not_covered(lungs, volume)]
        if len(found) > most:
            notes.append(f"{len(found)} candidates were above the operating point; the {most} with the highest score are given")
        findings = tuple(finding(volume, heat, candidate, self.card) for candidate in found[:most])
        outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
        return Prediction(outcome, findings, looked_for=looked_for, notes=tuple(notes))

    def _heat(self, volume: Volume, lungs: LungField) -> Heat:
        self._last = None
        with cpu_threads(THREADS):
            heat = self._detector.heat(lungs, volume.hu, volume.spacing_mm)
        packed = masks.pack_heat_map(heat.values, origin=heat.grid.origin, step=heat.grid.step, meaning=MEANING)
        self._last = weakref.ref(volume.hu), packed
        return heat
