"""Advice in plain language for a finding, from the card of the model version that made it."""

from functools import lru_cache
from pathlib import Path

from core.errors import NodeError


class AdviceBook:
    """Reads cards by model name and pipeline digest; a version that is no longer installed gives no advice."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._labels = lru_cache(maxsize=64)(self._read)

    def advice(self, model: str, digest: str, label: str) -> str:
        """Return the sentence of the card for this class; empty where there is none."""
        return self._labels(model, digest).get(label, "")

    def _read(self, model: str, digest: str) -> dict[str, str]:
        from models.installed import find_version  # only when a study is shown: reading cards takes a moment

        try:
            version = find_version(model, digest, self._models_dir)
        except NodeError:
            return {}
        return {label.name: label.advice for label in version.card.labels}
