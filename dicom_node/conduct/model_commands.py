"""Commands of people on the versions of models: activate, shadow, retire, roll back. The weights are verified first."""

from collections.abc import Mapping

from core.errors import ModelError
from core.settings.settings import Settings
from core.states import ModelState
from db.engine import Database
from db.operations import model_registry
from db.operations.command_kinds import CommandKind
from db.roles.command_runner import Handler
from db.roles.commands import ClaimedCommand
from models import installed, registry
from models.card import identity
from models.installed import ModelVersion
from models.regression import gate


class ModelCommands:
    """Changes which version of a model serves. The subject of a command is the model; ``version`` is the digest."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._folder = settings.node.data_dir / installed.FOLDER
        self._database = database

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by kind. Each raises NodeError with the reason where the version cannot get that state."""
        return {
            CommandKind.MODEL_ACTIVATE: self.activate,
            CommandKind.MODEL_SHADOW: self.shadow,
            CommandKind.MODEL_RETIRE: self.retire,
            CommandKind.MODEL_ROLLBACK: self.roll_back,
        }

    def activate(self, command: ClaimedCommand) -> str:
        """Use a version for new jobs, unless it is worse than the active one on what training held out."""
        place = self._version(command)
        registry.check_weights(place.folder)
        active = installed.active_version(place.card.name, model_registry.registered_models(self._database), self._folder)
        if active is not None:
            gate.require_not_worse(active.folder, place.folder, f"{place.card.name} {place.card.version}")
        named = identity(place.card, place.digest)
        if not model_registry.activate_model(self._database, named, origin=place.origin, actor=command.actor):
            raise ModelError(f"{place.card.name} {place.card.version} is active already")
        return f"{place.card.name} {place.card.version} is active: new jobs use it"

    def shadow(self, command: ClaimedCommand) -> str:
        """Run a version as a shadow."""
        place = self._version(command)
        registry.check_weights(place.folder)
        return self._set_state(command, place, ModelState.SHADOW)

    def retire(self, command: ClaimedCommand) -> str:
        """Use a version no more. Its files may be damaged, or gone."""
        name, wanted = command.args.get("subject", ""), command.args.get("version", "")
        entry = installed.registered_version(name, wanted, model_registry.registered_models(self._database, name), self._folder)
        if entry is None:
            return self._set_state(command, self._version(command), ModelState.RETIRED)
        if not model_registry.retire_model(self._database, entry, actor=command.actor):
            raise ModelError(f"{name} {entry.version} is retired already")
        return f"{name} {entry.version} is retired now"

    def _set_state(self, command: ClaimedCommand, place: ModelVersion, state: ModelState) -> str:
        named = identity(place.card, place.digest)
        if not model_registry.shadow_or_retire(self._database, named, state, origin=place.origin, actor=command.actor):
            raise ModelError(f"{named.name} {named.version} is {state} already")
        return f"{named.name} {named.version} is {state} now"

    def roll_back(self, command: ClaimedCommand) -> str:
        """Activate the version that was active before."""
        name = command.args.get("subject", "")
        places = installed.readable_versions(name, self._folder)
        intact = {place.digest: place for place in places if not registry.weights_problem(place.folder)}
        digest = model_registry.rollback_model(self._database, name, available=intact.keys(), actor=command.actor)
        return f"{name} {intact[digest].card.version} is active again"

    def _version(self, command: ClaimedCommand) -> ModelVersion:
        return installed.find_version(command.args.get("subject", ""), command.args.get("version", ""), self._folder)
