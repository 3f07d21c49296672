"""What every model here can do, whatever is inside."""

from collections.abc import Sequence
from typing import Any, Protocol

from core.records import HeatMap, ModelIdentity, Prediction
from models.card import ModelCard


class Model(Protocol):
    """A loaded model. ``predict`` takes photographs or volumes, as the card's unit says, and answers in their order."""

    @property
    def card(self) -> ModelCard: ...
    @property
    def identity(self) -> ModelIdentity: ...
    @property
    def device(self) -> str: ...
    @property
    def batch(self) -> int:
        """How many units one pass takes at best: more in one call of ``predict`` gain nothing."""

    def warm(self) -> None: ...
    def predict(self, items: Sequence[Any]) -> list[Prediction]: ...
    def evidence(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """Where the evidence for ``prediction`` of ``item`` is; None where the model cannot say. Costs a pass of its own."""
