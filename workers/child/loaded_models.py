"""The models that a child process has loaded, by pipeline digest."""

from pathlib import Path

import structlog

from core.errors import ModelError, NodeError
from core.settings.settings import Settings
from core.states import ModelOrigin
from db.engine import Database
from db.operations import model_registry
from models import installed
from models import runtime as model_runtime
from models.installed import ModelVersion
from models.runtime import Model

log = structlog.get_logger()


class LoadedModels:
    """Loads models when they are needed, warms them, and registers them in the database.

    Attributes
    ----------
    by_digest
        The loaded and warmed models, by pipeline digest.
    failed
        Why a model that a route names could not be loaded, by name.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._versions: dict[str, ModelVersion] = {}  # by digest
        self._registered: set[str] = set()
        self.by_digest: dict[str, Model] = {}
        self.failed: dict[str, NodeError] = {}

    def load_serving(self, name: str) -> Model:
        """Return the version of a model that new jobs are for, loaded and warmed.

        Raises
        ------
        ModelError
            There is none, or its weights are not those of its card.
        StorageError
            The registry cannot be read.
        """
        for damaged in installed.damaged_versions(name, self._folder):
            log.error("model_version_damaged", model=name, version=damaged.version, error=damaged.reason)
        return self._load(installed.serving_version(name, model_registry.registered_models(self._database, name), self._folder))

    def load(self, name: str, digest: str) -> Model:
        """Return the model with the pipeline digest that a job asks for; it is loaded now if it is not yet.

        Raises
        ------
        ModelError
            It is not on this worker, or its weights are not those of its card.
        """
        if digest not in self.by_digest:
            version = next((version for version in installed.versions(name, self._folder) if version.digest == digest), None)
            if version is None:
                raise self._missing(name, digest)
            self._load(version)
        return self.by_digest[digest]

    def _missing(self, name: str, digest: str) -> ModelError:
        damaged = installed.damaged_versions(name, self._folder)
        if damaged:
            said = "; ".join(one.reason for one in damaged)
            return ModelError(f"pipeline {digest[:12]} of {name} is not among the versions that this worker can read: {said}")
        return ModelError(
            f"pipeline {digest[:12]} of {name} is not on this worker",
            hint="start conductor and worker from the same release, on the same node.data_dir/models, then requeue the job",
        )

    def register(self) -> None:
        """Write each loaded model into the registry's table once; the registry says which versions are active or retired.

        Raises
        ------
        StorageError
            The database does not respond.
        """
        for digest, model in list(self.by_digest.items()):
            if digest not in self._registered:
                present = {version.digest for version in installed.versions(model.card.name, self._folder)}
                version = self._versions.get(digest)
                origin = version.origin if version else ModelOrigin.PACKAGE
                model_registry.register_model(self._database, model.identity, origin=origin, available=present)
                self._registered.add(digest)

    def _load(self, version: ModelVersion) -> Model:
        if version.digest not in self.by_digest:
            loaded = model_runtime.load_folder(version.folder, device=self._settings.worker.device, package=version.package)
            loaded.warm_up()
            self.by_digest[version.digest] = loaded
            self._versions[version.digest] = version
            self.failed.pop(version.card.name, None)
        return self.by_digest[version.digest]

    @property
    def _folder(self) -> Path:
        return self._settings.node.data_dir / installed.FOLDER
