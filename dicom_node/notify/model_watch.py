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

    def broken_rules(self) -> Broken:
        """Return the rules whose limit is exceeded now.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        if self._rules and time.monotonic() - self._checked >= CHECK_INTERVAL_S:
            self._broken = {}
            for rule in self._rules:
                self._apply(rule)
            self._checked = time.monotonic()
        return self._broken

    def act(self, kind: str, model: str) -> None:
        """Demote the active version of a model whose alert has just begun, where a rule of this kind says so."""
        if any(rule.model == model and rule.demote and _limits(rule, kind) for rule in self._rules):
            reason = f"stop rule: {kind} is beyond its limit"
            if digest := demote_model(self._database, model, actor="send", reason=reason):
                structlog.get_logger().error("model_demoted", model=model, digest=digest[:12], reason=reason)

    def _apply(self, rule: ModelWatch) -> None:
        watched = self._watched(rule.model)
        if watched is None:
            return
        if rule.min_acceptance is not None:
            share = recent_acceptance(self._database, watched.digest, rule.days)
            if share.value is not None and share.n >= rule.min_n and share.value < rule.min_acceptance:
                details = {"version": watched.version, "acceptance": round(share.value, 3), "limit": rule.min_acceptance, "n": share.n}
                self._broken[ACCEPTANCE, rule.model] = details
        if rule.max_drift is not None and (worst := self._worst_drift(rule, watched.digest)) is not None:
            quantity, index, n = worst
            if index > rule.max_drift:
                details = {"version": watched.version, "quantity": quantity, "index": index, "limit": rule.max_drift, "n": n}
                self._broken[DRIFT, rule.model] = details

    def _watched(self, model: str) -> RegisteredModel | None:
        """The active version; after a demotion, while none is active, the version that was."""
        known = registered_models(self._database, model)
        active = next((one for one in known if one.state is ModelState.ACTIVE), None)
        return active or next((one for one in reversed(known) if one.state is ModelState.SHADOW and one.activated), None)

    def _worst_drift(self, rule: ModelWatch, digest: str) -> tuple[str, float, int] | None:
        """(quantity, index, n) of the largest index of the last weeks that rests on enough units; None where there is none."""
        try:
            references = {place.digest: place.card.reference for place in installed.versions(rule.model, self._folder)}
        except ModelError:
            references = {}
        rows = weekly_statistics(self._database, model=rule.model, references=references)
        weeks = sorted({row["week"] for row in rows})[-RECENT_WEEKS:]
        found = [
            (row["quantity"], row["index"], row["n"])
            for row in rows
            if row["digest"] == digest and row["week"] in weeks and row["index"] is not None and row["n"] >= rule.min_n
        ]
        return max(found, key=lambda one: one[1], default=None)


def _limits(rule: ModelWatch, kind: str) -> bool:
    return (rule.min_acceptance if kind == ACCEPTANCE else rule.max_drift) is not None
