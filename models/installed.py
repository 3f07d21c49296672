"""Versions of models: those in the package and those installed into ``node.data_dir/models``; and which of them serves.

::

    node.data_dir/models/NAME/VERSION/card.toml, weights.safetensors

An installed version is run by the code of the packaged model of its name, an imported bundle by ``models.bundle``. A version whose card
cannot be read is left out and named by `damaged_versions`: the others stay usable. Nothing here imports torch.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelError
from core.records import RegisteredModel
from core.states import ModelOrigin, ModelState
from models import registry
from models.card import ModelCard, read_card
from models.regression import FILE, MARKS_FILE

FOLDER = "models"  # in node.data_dir
BUNDLE_KIND = "monai.apps.detection.RetinaNet"
SEGMENTATION_KINDS = ("monai.networks.nets.UNet", "monai.networks.nets.SegResNet")
CLASSIFIER_KINDS = tuple(
    f"monai.networks.nets.{name}"
    for name in (
        *("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264"),
        *("resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
        *("SEResNet50", "SEResNet101", "SEResNet152", "SEResNext50", "SEResNext101", "SENet154"),
        *("EfficientNetBN", "ViT"),
    )
)
BUNDLE = "bundle"  # the package that runs imported bundles
SHIPPED = "shipped"
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A card and its weights in ``folder``. ``package``: the package in ``models`` whose code runs them."""

    folder: Path
    package: str
    card: ModelCard
    digest: str
    origin: ModelOrigin


@dataclass(frozen=True, slots=True)
class DamagedVersion:
    """A version whose card cannot be read. ``problem`` names the file, ``fix`` says what to do."""

    folder: Path
    origin: ModelOrigin
    problem: str
    fix: str

    @property
    def reason(self) -> str:
        """Both in one text."""
        return f"{self.problem} ({self.fix})"

    @property
    def version(self) -> str:
        """Its number, by the name of its folder; "shipped" for the one in the package, whose number is on its card alone."""
        return SHIPPED if self.origin is ModelOrigin.PACKAGE else self.folder.name

    def entry(self, known: Iterable[RegisteredModel]) -> RegisteredModel | None:
        """Its entry in the registry: by its number; of the one in the package the active one that came so, else the last one."""
        same = [one for one in known if one.origin is self.origin and (self.origin is ModelOrigin.PACKAGE or one.version == self.version)]
        return next((one for one in same if one.state is ModelState.ACTIVE), same[-1] if same else None)


def versions(name: str, folder: Path) -> tuple[ModelVersion, ...]:
    """Every version of ``name`` on this machine that can be read, the packaged one first, then the installed ones by version.

    Raises
    ------
    ModelError
        No such model, or none of its versions can be read.
    """
    found, damaged = _read_versions(name, folder)
    if not found and damaged:
        raise ModelError(f"no version of {name} can be read: {damaged[0].reason}")
    if not found:
        registry.folder(name)  # raises ModelError with the names of the known models
    return found


def readable_versions(name: str, folder: Path) -> tuple[ModelVersion, ...]:
    """As ``versions``; empty where there is none."""
    return _read_versions(name, folder)[0]


def damaged_versions(name: str, folder: Path) -> tuple[DamagedVersion, ...]:
    """The versions of ``name`` whose cards cannot be read, the packaged one first. Weights are verified when they are loaded, not here."""
    return _read_versions(name, folder)[1]


def _read_versions(name: str, folder: Path) -> tuple[tuple[ModelVersion, ...], tuple[DamagedVersion, ...]]:
    package = package_of(name)
    found: list[ModelVersion] = []
    damaged: list[DamagedVersion] = []
    if package != BUNDLE:
        packaged = registry.folder(name)
        try:
            card = registry.card(name)
            found.append(ModelVersion(packaged, package, card, registry.folder_digest(packaged), ModelOrigin.PACKAGE))
        except ModelError as error:
            damaged.append(DamagedVersion(packaged, ModelOrigin.PACKAGE, str(error.args[0]), registry.RESTORE_SHIPPED))
    for path in _version_folders(folder / name):
        try:
            version = _read_version(path, name, package)
        except ModelError as error:
            fix = f"remove {path}, and import the version again"
            damaged.append(DamagedVersion(path, ModelOrigin.INSTALLED, str(error.args[0]), fix))
            continue
        if version.digest not in {other.digest for other in found}:
            found.append(version)
    return tuple(found), tuple(damaged)


def _read_version(path: Path, name: str, package: str) -> ModelVersion:
    card = read_card(path / "card.toml")
    if card.name != name or card.version != path.name:
        raise ModelError(f"{path / 'card.toml'} is the card of {card.name} {card.version}")
    return ModelVersion(path, package, card, registry.folder_digest(path), ModelOrigin.INSTALLED)


def _version_folders(room: Path) -> list[Path]:
    """The folders of the installed versions of one model, sorted: those with a card or with weights, and those that cannot be listed."""
    return [path for path in _folders(room) if _holds_version(path)]


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")) if place.is_dir() else []


def _holds_version(path: Path) -> bool:
    try:
        return any(file.name == "card.toml" or file.suffix == ".safetensors" for file in path.iterdir())
    except OSError:
        return True  # reading its card says why


def package_of(name: str) -> str:
    """The package in ``models`` whose code runs the model of that name."""
    found = registry.model_folders().get(name)
    return found.name if found is not None else BUNDLE


def names(folder: Path) -> list[str]:
    """Names of all models that are shipped or installed, sorted."""
    return sorted({*registry.model_folders(), *(path.name for path in _folders(folder) if _version_folders(path))})


def find_version(name: str, wanted: str, folder: Path) -> ModelVersion:
    """The version of ``name`` with that version number, or whose digest begins with ``wanted`` (8 digits at least).

    Raises
    ------
    ModelError
        No version fits, or more than one, or its card cannot be read.
    """
    known, damaged = versions(name, folder), damaged_versions(name, folder)
    fitting = [one for one in known if one.card.version == wanted or (len(wanted) >= 8 and one.digest.startswith(wanted))]
    if len(fitting) == 1:
        return fitting[0]
    for lost in damaged:
        if lost.version == wanted:
            raise ModelError(f"{name} {wanted} cannot be used: {lost.reason}")
    listed = ", ".join(
        [*(f"{one.card.version} ({one.digest[:12]}, {one.origin})" for one in known), *(f"{one.version} (damaged)" for one in damaged)]
    )
    what = "more than one version" if fitting else "no version"
    raise ModelError(f"{what} of {name} is {wanted}", hint=f"there are: {listed}")


def registered_version(name: str, wanted: str, known: Sequence[RegisteredModel], folder: Path) -> RegisteredModel | None:
    """The entry of the registry with that version number, or whose digest begins with ``wanted``; None where there is none.

    Its files may be damaged, changed or gone. Of several entries with one number, those that are retired are left out unless all are.

    Raises
    ------
    ModelError
        More than one fits.
    """
    entries = [one for one in known if one.name == name]
    fitting = [one for one in entries if one.version == wanted or (len(wanted) >= 8 and one.digest.startswith(wanted))]
    if not fitting:
        named = (lost.entry(entries) for lost in damaged_versions(name, folder) if lost.version == wanted)
        return next(named, None)
    used = [one for one in fitting if one.state is not ModelState.RETIRED] or fitting[-1:]
    if len(used) > 1:
        listed = ", ".join(f"{one.digest[:12]} ({one.state})" for one in used)
        raise ModelError(f"more than one version of {name} is {wanted}", hint=f"give the first digits of a digest: {listed}")
    return used[0]


def serving_version(name: str, known: Sequence[RegisteredModel], folder: Path) -> ModelVersion:
    """The version that new jobs are created for: the active one.

    The packaged version serves where the model registry has no entry of the name yet, and where the active version was the packaged one
    of an older release, because installing a release is a deliberate act too. In no other case does another version replace the chosen
    one.

    Raises
    ------
    ModelError
        The active version is damaged or no longer on this machine, or it was retired and no other was activated.
    """
    here, damaged = versions(name, folder), damaged_versions(name, folder)
    entries = [one for one in known if one.name == name]
    active = next((one for one in entries if one.state is ModelState.ACTIVE), None)
    if active is None:
        if here[0].origin is ModelOrigin.PACKAGE and not any(one.activated for one in entries):
            return here[0]
        said = f"no version of {name} is active"
        shipped = [lost.reason for lost in damaged if lost.origin is ModelOrigin.PACKAGE]
        raise ModelError("; the shipped one cannot be used: ".join([said, *shipped]), hint=f"dicom-node models activate {name} VERSION")
    for version in here:
        if version.digest == active.digest:
            return version
    packaged = next((one for one in entries if one.digest == here[0].digest), None)
    if active.origin is here[0].origin is ModelOrigin.PACKAGE and (packaged is None or packaged.state is ModelState.STANDBY):
        return here[0]
    for lost in damaged:
        if lost.entry(entries) == active:
            raise ModelError(f"the active version of {name} cannot be used: {lost.reason}", hint="or activate another version")
    if any(one.origin is active.origin is ModelOrigin.INSTALLED and one.card.version == active.version for one in here):
        said = f"the card of the active version of {name}, {active.version} ({active.digest[:12]}), was changed after it was activated"
        raise ModelError(said, hint="put the card back, or activate the version as it is now, or another one")
    raise ModelError(
        f"the active version of {name}, {active.version} ({active.digest[:12]}), is no longer on this machine",
        hint=f"put it back into {folder / name}, or activate another version",
    )


def active_version(name: str, known: Sequence[RegisteredModel], folder: Path) -> ModelVersion | None:
    """As ``serving_version``; None where no version serves."""
    try:
        return serving_version(name, known, folder)
    except ModelError:
        return None


def shadow_versions(name: str, known: Sequence[RegisteredModel], folder: Path) -> tuple[ModelVersion, ...]:
    """The versions that run beside the active one and are never reported; versions that are not on this machine are left out."""
    shadows = {one.digest for one in known if one.name == name and one.state is ModelState.SHADOW}
    return tuple(version for version in versions(name, folder) if version.digest in shadows)


def install_version(source: Path, folder: Path) -> ModelVersion:
    """Copy card and weights from ``source`` into ``folder``; a person has still to activate the version.

    Raises
    ------
    ModelError
        The weights are not those of the card, no code here can run them, or another model has that version already.
    """
    weights = registry.verify_weights(source)
    card = read_card(source / "card.toml")
    package = package_of(card.name)
    check_runnable(card, package)
    for what, value in (("name", card.name), ("version", card.version)):
        if not FOLDER_NAME.fullmatch(value):
            raise ModelError(f"{what} {value!r} cannot be the name of a folder", hint="use letters, digits, dots and dashes")
    digest, target = registry.folder_digest(source), folder / card.name / card.version
    if target.exists():
        try:
            present = _read_version(target, card.name, package).digest
            registry.verify_weights(target)
        except ModelError as error:
            said = f"{card.name} {card.version} is installed already, and is damaged: {error.args[0]}"
            raise ModelError(said, hint=f"remove {target}, and import the version again") from error
        if present != digest:
            raise ModelError(f"another {card.name} {card.version} is installed already", hint="raise version in card.toml")
        return ModelVersion(target, package, card, digest, ModelOrigin.INSTALLED)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        for path in (weights, source / "card.toml", *source.glob(FILE), *source.glob(MARKS_FILE)):
            shutil.copyfile(path, part / path.name)
        registry.verify_weights(part)
        part.chmod(0o755)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return ModelVersion(target, package, card, digest, ModelOrigin.INSTALLED)


def check_runnable(card: ModelCard, package: str) -> None:
    """Check that ``package`` is the code for the card's network. Raises ModelError."""
    imported = card.network.get("kind") in (BUNDLE_KIND, *SEGMENTATION_KINDS, *CLASSIFIER_KINDS)
    if imported and package != BUNDLE:
        raise ModelError(f"{card.name} is a shipped model, whose code does not run a MONAI bundle", hint="give the bundle another name")
    if package == BUNDLE and not imported:
        raise ModelError(f"no code here runs {card.name!r}", hint=f"known: {', '.join(registry.names())}, and imported bundles")


def version_for_rerun(name: str, wanted: str, known: Sequence[RegisteredModel], folder: Path) -> ModelVersion:
    """The version on which a job with a result runs again: ``wanted``, as `find_version` takes it, or "" for the one that serves.

    Raises
    ------
    ModelError
        There is none, or it may not report: it is a shadow or retired.
    """
    if not wanted:
        return serving_version(name, known, folder)
    found = find_version(name, wanted, folder)
    state = next((one.state for one in known if one.digest == found.digest), None)
    if state in (ModelState.SHADOW, ModelState.RETIRED):
        what = "a shadow" if state is ModelState.SHADOW else "retired"
        raise ModelError(f"{name} {found.card.version} is {what} and reports nothing", hint=f"dicom-node models activate {name} VERSION")
    return found
