"""The models that a child process has loaded, by pipeline digest: no more than a limit, of which the least recently used one is dropped."""

from contextlib import suppress
from pathlib import Path

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import ModelError, NodeError
from core.logs import scrub
from core.settings.settings import Settings
from core.states import ModelOrigin
from db.engine import Database
from db.operations import model_registry
from models import installed
from models import runtime as model_runtime
from models.installed import ModelVersion
from models.runtime import Model

LEAST_LIMIT, VERSIONS_OF_MODEL = 4, 2  # the version that serves, and a shadow or the one that serves planned jobs to their end

log = structlog.get_logger()


class LoadedModels:
    """Loads models when they are needed, warms them, and registers them in the database.

    Only the thread of the jobs loads and drops models, between two passes; other threads read.

    Attributes
    ----------
    by_digest
        The loaded and warmed models, by pipeline digest, the least recently used first.
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

    @property
    def limit(self) -> int:
        """The number of versions that are kept in memory."""
        models = len({route.model for route in self._settings.routes})
        return self._settings.worker.loaded_versions or max(LEAST_LIMIT, VERSIONS_OF_MODEL * models)

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
        return self._load(self._serving(name))

    def load(self, name: str, digest: str) -> Model:
        """Return the model with the pipeline digest that a job asks for; it is loaded now if it is not yet.

        Raises
        ------
        ModelError
            It is not on this worker, or its weights are not those of its card.
        """
        if digest in self.by_digest:
            return self._used(digest)
        version = next((version for version in installed.versions(name, self._folder) if version.digest == digest), None)
        if version is None:
            raise self._missing(name, digest)
        return self._load(version)

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
                present = {version.digest for version in installed.readable_versions(model.card.name, self._folder)}
                version = self._versions.get(digest)
                origin = version.origin if version else ModelOrigin.PACKAGE
                model_registry.register_model(self._database, model.identity, origin=origin, available=present)
                self._registered.add(digest)

    def _load(self, version: ModelVersion) -> Model:
        if version.digest not in self.by_digest:
            self._make_room()
            loaded = model_runtime.load_folder(version.folder, device=self._settings.worker.device, package=version.package)
            self._warm_up(loaded)
            self.by_digest[version.digest] = loaded
            self._versions[version.digest] = version
            self._forget_failure(version)
        return self._used(version.digest)

    def _warm_up(self, model: Model) -> None:
        """Run the model once. Where its code fails, it stays loaded: no model need run on an empty image, and each job has its own reason.

        An error of the device is raised, and so is NodeError: the output holds values that are no numbers, or memory does not suffice.
        """
        try:
            model.warm_up()
        except (NodeError, SoftTimeLimitExceeded):
            raise
        except Exception as error:
            if model_runtime.is_device_error(error):
                raise
            card = model.card
            log.warning("model_warm_up_failed", model=card.name, version=card.version, error=f"{type(error).__name__}: {scrub(str(error))}")

    def _serving(self, name: str) -> ModelVersion:
        return installed.serving_version(name, model_registry.registered_models(self._database, name), self._folder)

    def _forget_failure(self, version: ModelVersion) -> None:
        """The model works again if the loaded version is the one that new jobs are for; an older one says nothing of it."""
        if (name := version.card.name) in self.failed:
            with suppress(NodeError):
                if self._serving(name).digest == version.digest:
                    del self.failed[name]

    def _used(self, digest: str) -> Model:
        model = self.by_digest.pop(digest)
        self.by_digest[digest] = model  # the last one
        return model

    def _make_room(self) -> None:
        """Drop the least recently used models until one more may be loaded: before, so that both need not fit into memory."""
        before = len(self.by_digest)
        while len(self.by_digest) >= self.limit:
            digest = next(iter(self.by_digest))
            dropped = self.by_digest.pop(digest).card
            del self._versions[digest]
            log.info("model_unloaded", model=dropped.name, version=dropped.version, digest=digest[:12], limit=self.limit)
        if len(self.by_digest) < before:
            model_runtime.release_memory()

    @property
    def _folder(self) -> Path:
        return self._settings.node.data_dir / installed.FOLDER
