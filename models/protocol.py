"""The interface of a loaded model, whatever its network."""

from collections.abc import Sequence
from typing import Any, Protocol

from core.records import HeatMap, ModelIdentity, Prediction
from models.card import ModelCard


class Model(Protocol):
    """A loaded model. Inputs are photographs or CT volumes, as the card's ``unit`` says."""

    @property
    def card(self) -> ModelCard:
        """The card that the weights belong to."""

    @property
    def identity(self) -> ModelIdentity:
        """The model as a report names it."""

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""

    @property
    def batch(self) -> int:
        """The number of units from which on a larger call of ``predict`` is not faster per unit."""

    def warm_up(self) -> None:
        """Run one forward pass, so that the first unit does not wait for set-up."""

    def predict(self, items: Sequence[Any]) -> list[Prediction]:
        """One prediction per item, in the items' order."""

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """Map of the evidence for ``prediction`` of ``item``; None where the model has none. Needs a pass of its own."""
