"""The classes that a reader may choose for a correction or a missed finding: those of the card of the model version that answered."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import NodeError
from core.records import Code


class ClassBook:
    """Reads the classes of model versions by name and pipeline digest; of a version that is not installed only what was found is known."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._of_card = lru_cache(maxsize=64)(self._read)

    def classes(self, model: str, digest: str, findings: Iterable[Any]) -> Mapping[str, Code]:
        """Return the code of each class by its label; ``findings`` are rows of the result."""
        found = {row.label: Code(row.code_value, row.code_scheme, row.code_meaning) for row in findings}
        return {**self._of_card(model, digest), **found}

    def _read(self, model: str, digest: str) -> dict[str, Code]:
        from models.installed import find_version  # only when a result is shown: reading cards takes a moment

        try:
            version = find_version(model, digest, self._models_dir)
        except NodeError:
            return {}
        return {label.name: label.code for label in version.card.labels}
