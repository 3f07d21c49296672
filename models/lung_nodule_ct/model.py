"""The nodule detector behind the runtime's Model protocol."""

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
from models.lung_nodule_ct.findings import nodule_finding
from models.lung_nodule_ct.heat import NoduleHeat
from models.lung_nodule_ct.suitability import check_chest, check_geometry, not_covered, thick_slices_note
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.torch_threads import cpu_threads

# Fixed, so that the same series gives the same bits. One thread for each window, and as many windows at once as there are cores: two
# threads of one window wait for each other on a busy machine (measured: twice the CPU time).
THREADS = 1
MEANING = "how much the first stage takes a voxel for a part of a nodule, 0 to 1, outside the lung field 0; no probability"


class LungNoduleDetector:
    """Chest CT volumes to predictions with nodules."""

    batch = 1  # series are computed one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._detector = TwoStageDetector(weights, card.network, device)
        # The heat of the last series, so that its heat map needs no second pass; the weak reference does not keep the series alive.
        self._last: tuple[weakref.ref[np.ndarray], HeatMap] | None = None

    def warm_up(self) -> None:
        """Run one forward pass, so that the first series does not wait for set-up."""
        with cpu_threads(THREADS):
            self._detector.warm_up()

    def heat_map(self, item: Volume, prediction: Prediction) -> HeatMap | None:
        """The first stage's heat on its grid of 1 mm; None where the series was not analysed."""
        if prediction.outcome not in (Outcome.FINDINGS, Outcome.NO_FINDING):
            return None
        if self._last is None or self._last[0]() is not item.hu:
            lungs = lung_field(item.hu, item.spacing_mm)
            if lungs is None:
                return None
            self._compute_heat(item, lungs)
        return None if self._last is None else self._last[1]

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        """One prediction per series, in order."""
        return [self._predict_series(volume) for volume in items]

    def _predict_series(self, volume: Volume) -> Prediction:
        looked_for = self.card.looked_for
        reason = check_geometry(volume)
        lungs = None if reason else lung_field(volume.hu, volume.spacing_mm)
        reason = reason or check_chest(lungs)
        if lungs is None or reason:
            return Prediction(Outcome.NOT_ANALYSED, reason=reason, looked_for=looked_for, notes=volume.notes)
        heat = self._compute_heat(volume, lungs)
        with cpu_threads(THREADS):
            candidates = self._detector.candidates(heat, self.card.thresholds)
        most = int(self.card.thresholds["most_findings"])
        missing = not_covered(lungs, volume)
        notes = [*missing, *thick_slices_note(volume, self.card.metrics), *volume.notes]
        if len(candidates) > most:
            notes.append(f"{len(candidates)} candidates were above the operating point; the {most} with the highest score are given")
        findings = tuple(nodule_finding(volume, heat, candidate, self.card, whole=not missing) for candidate in candidates[:most])
        outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
        return Prediction(outcome, findings, looked_for=looked_for, notes=tuple(notes), not_covered=missing)

    def _compute_heat(self, volume: Volume, lungs: LungField) -> NoduleHeat:
        self._last = None
        with cpu_threads(THREADS):
            heat = self._detector.heat(lungs, volume.hu, volume.spacing_mm)
        packed = masks.pack_heat_map(heat.values, origin=heat.grid.origin, step=heat.grid.step, meaning=MEANING)
        self._last = weakref.ref(volume.hu), packed
        return heat
