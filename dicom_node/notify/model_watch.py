"""Stop rules of models: compares acceptance and drift of each active version with the limits of ``[[models.watch]]``."""

import time
from collections.abc import Mapping
from typing import Any

import structlog

from core.errors import ModelError
from core.records import RegisteredModel
from core.settings.operations import ModelWatch
from core.settings.settings import Settings
from core.states import ModelState
from db.engine import Database
from db.operations.drift import weekly_statistics
from db.operations.model_performance import recent_acceptance
from db.operations.model_registry import demote_model, registered_models
from models import installed

ACCEPTANCE, DRIFT = "model.acceptance", "model.drift"
CHECK_INTERVAL_S = 60.0
RECENT_WEEKS = 2

Broken = Mapping[tuple[str, str], Mapping[str, Any]]
"""(kind of alert, model) -> details, for rules whose limit is exceeded."""


class ModelWatcher:
    """Applies the stop rules once a minute; between, it repeats what it found."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._rules = settings.models.watch
        self._folder = settings.node.data_dir / installed.FOLDER
        self._database = database
        self._checked = -CHECK_INTERVAL_S
        self._broken: dict[tuple[str, str], dict[str, Any]] = {}
        self._demoting: set[tuple[str, str]] = set()

    def broken_rules(self) -> Broken:
        """Return the rules whose limit is exceeded now.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        if self._rules and time.monotonic() - self._checked >= CHECK_INTERVAL_S:
            self._broken, self._demoting = {}, set()
            for rule in self._rules:
                self._apply(rule)
            self._checked = time.monotonic()
        return self._broken

    def act(self, kind: str, model: str, *, lasts_s: float) -> None:
        """Demote the active version of a model if a rule that says so is broken; it is repeated for as long as the alert lasts.

        ``lasts_s``: the seconds since the alert began. A version that a person has activated since then is left active.
        """
        if (kind, model) in self._demoting:
            reason = f"stop rule: {kind} is beyond its limit"
            if digest := demote_model(self._database, model, actor="send", reason=reason, active_for_s=lasts_s):
                structlog.get_logger().error("model_demoted", model=model, digest=digest[:12], reason=reason)

    def _apply(self, rule: ModelWatch) -> None:
        watched = self._watched(rule.model)
        if watched is None:
            return
        if rule.min_acceptance is not None:
            share = recent_acceptance(self._database, watched.digest, rule.days)
            if share.value is not None and share.n >= rule.min_n and share.value < rule.min_acceptance:
                details = {"version": watched.version, "acceptance": round(share.value, 3), "limit": rule.min_acceptance, "n": share.n}
                self._note(ACCEPTANCE, rule, details)
        worst = None if rule.max_drift is None else self._worst_drift(rule, watched.digest)
        if worst is not None and worst["index"] - worst["by_chance"] > rule.max_drift:
            figures = {name: worst[name] for name in ("quantity", "index", "by_chance", "n")}
            self._note(DRIFT, rule, {"version": watched.version, "limit": rule.max_drift, **figures})

    def _note(self, kind: str, rule: ModelWatch, details: dict[str, Any]) -> None:
        """Keep that a limit of a rule is exceeded."""
        self._broken[kind, rule.model] = details
        if rule.demote:
            self._demoting.add((kind, rule.model))

    def _watched(self, model: str) -> RegisteredModel | None:
        """The active version; after a demotion, while none is active, the version that was."""
        known = registered_models(self._database, model)
        active = next((one for one in known if one.state is ModelState.ACTIVE), None)
        return active or next((one for one in reversed(known) if one.state is ModelState.SHADOW and one.activated), None)

    def _worst_drift(self, rule: ModelWatch, digest: str) -> dict[str, Any] | None:
        """The row with the largest index beyond chance of the last weeks that rests on enough units; None where there is none."""
        try:
            references = {place.digest: place.card.reference for place in installed.versions(rule.model, self._folder)}
        except ModelError:
            references = {}
        rows = weekly_statistics(self._database, model=rule.model, references=references)
        found = [
            row
            for row in rows
            if row["digest"] == digest and row["weeks_ago"] < RECENT_WEEKS and row["index"] is not None and row["n"] >= rule.min_n
        ]
        return max(found, key=lambda row: row["index"] - row["by_chance"], default=None)
