"""The classes of model versions, from their cards: the advice for each, and those that a reader may choose for a finding."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import NodeError
from core.records import Code

if TYPE_CHECKING:
    from models.card import Label


class ModelLabels:
    """Reads cards by model name and pipeline digest. Of a version that is not installed only what was found is known."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._of_card = lru_cache(maxsize=64)(self._read)

    def advice(self, model: str, digest: str, label: str) -> str:
        """Return the sentence of the card for this class; empty where there is none."""
        known = self._of_card(model, digest).get(label)
        return "" if known is None else known.advice

    def codes(self, model: str, digest: str, findings: Iterable[Any]) -> Mapping[str, Code]:
        """Return the code of each class by its label, for a correction or a missed finding; ``findings`` are rows of the result."""
        of_card = {name: label.code for name, label in self._of_card(model, digest).items()}
        return of_card | {row.label: Code(row.code_value, row.code_scheme, row.code_meaning) for row in findings}

    def _read(self, model: str, digest: str) -> Mapping[str, "Label"]:
        from models.installed import find_version  # only when a result is shown: reading cards takes a moment

        try:
            version = find_version(model, digest, self._models_dir)
        except NodeError:
            return {}
        return {label.name: label for label in version.card.labels}
