"""Versions of models: those in the package and those installed into ``node.data_dir/models``; and which of them serves.

::

    node.data_dir/models/NAME/VERSION/card.toml, weights.safetensors

An installed version is run by the code of the packaged model of its name, an imported bundle by ``models.bundle``.
Nothing here imports torch.
"""

import re
import shutil
import tempfile
from collections.abc import Sequence
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
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A card and its weights in ``folder``. ``package``: the package in ``models`` whose code runs them."""

    folder: Path
    package: str
    card: ModelCard
    digest: str
    origin: ModelOrigin


def versions(name: str, folder: Path, root: Path = registry.MODELS_FOLDER) -> tuple[ModelVersion, ...]:
    """Every version of ``name`` on this machine, the packaged one first, then the installed ones by version.

    Raises
    ------
    ModelError
        No such model, or a card that cannot be read.
    """
    package = package_of(name, root)
    found = []
    if package != BUNDLE:
        packaged = registry.folder(name, root)
        found.append(
            ModelVersion(packaged, package, read_card(packaged / "card.toml"), registry.folder_digest(packaged), ModelOrigin.PACKAGE)
        )
    for path in sorted((folder / name).glob("[!.]*/card.toml")):
        card = read_card(path)
        if card.name != name or card.version != path.parent.name:
            raise ModelError(f"{path} is the card of {card.name} {card.version}", hint="remove the folder, and import the model again")
        digest = registry.folder_digest(path.parent)
        if digest not in {version.digest for version in found}:
            found.append(ModelVersion(path.parent, package, card, digest, ModelOrigin.INSTALLED))
    if not found:
        registry.folder(name, root)  # raises ModelError with the names of the known models
    return tuple(found)


def package_of(name: str, root: Path = registry.MODELS_FOLDER) -> str:
    """The package in ``models`` whose code runs the model of that name."""
    found = registry.model_folders(root).get(name)
    return found.name if found is not None else BUNDLE


def names(folder: Path, root: Path = registry.MODELS_FOLDER) -> list[str]:
    """Names of all models that are shipped or installed, sorted."""
    return sorted({*registry.model_folders(root), *(path.parent.parent.name for path in folder.glob("[!.]*/[!.]*/card.toml"))})


def find_version(name: str, wanted: str, folder: Path, root: Path = registry.MODELS_FOLDER) -> ModelVersion:
    """The version of ``name`` with that version number, or whose digest begins with ``wanted`` (8 digits at least).

    Raises
    ------
    ModelError
        No version fits, or more than one.
    """
    known = versions(name, folder, root)
    fitting = [one for one in known if one.card.version == wanted or (len(wanted) >= 8 and one.digest.startswith(wanted))]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{one.card.version} ({one.digest[:12]}, {one.origin})" for one in known)
    what = "more than one version" if fitting else "no version"
    raise ModelError(f"{what} of {name} is {wanted}", hint=f"there are: {listed}")


def serving_version(name: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.MODELS_FOLDER) -> ModelVersion:
    """The version that new jobs are created for: the active one.

    The packaged version serves where the model registry has no entry of the name yet, and where the active version was the packaged one
    of an older release, because installing a release is a deliberate act too. In no other case does another version replace the chosen
    one.

    Raises
    ------
    ModelError
        The active version is no longer on this machine, or it was retired and no other was activated.
    """
    here = versions(name, folder, root)
    entries = [one for one in known if one.name == name]
    active = next((one for one in entries if one.state is ModelState.ACTIVE), None)
    if active is None:
        if any(one.activated for one in entries) or here[0].origin is not ModelOrigin.PACKAGE:
            raise ModelError(f"no version of {name} is active", hint=f"dicom-node models activate {name} VERSION")
        return here[0]
    for version in here:
        if version.digest == active.digest:
            return version
    packaged = next((one for one in entries if one.digest == here[0].digest), None)
    if active.origin is here[0].origin is ModelOrigin.PACKAGE and (packaged is None or packaged.state is ModelState.STANDBY):
        return here[0]
    raise ModelError(
        f"the active version of {name}, {active.version} ({active.digest[:12]}), is no longer on this machine",
        hint=f"put it back into {folder / name}, or activate another version",
    )


def active_version(name: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.MODELS_FOLDER) -> ModelVersion | None:
    """As ``serving_version``; None where no version serves."""
    try:
        return serving_version(name, known, folder, root)
    except ModelError:
        return None


def shadow_versions(
    name: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.MODELS_FOLDER
) -> tuple[ModelVersion, ...]:
    """The versions that run beside the active one and are never reported; versions that are not on this machine are left out."""
    shadows = {one.digest for one in known if one.name == name and one.state is ModelState.SHADOW}
    return tuple(version for version in versions(name, folder, root) if version.digest in shadows)


def install_version(source: Path, folder: Path, root: Path = registry.MODELS_FOLDER) -> ModelVersion:
    """Copy card and weights from ``source`` into ``folder``; a person has still to activate the version.

    Raises
    ------
    ModelError
        The weights are not those of the card, no code here can run them, or another model has that version already.
    """
    weights = registry.verify_weights_in(source)
    card = read_card(source / "card.toml")
    package = package_of(card.name, root)
    imported = card.network.get("kind") in (BUNDLE_KIND, *SEGMENTATION_KINDS, *CLASSIFIER_KINDS)
    if imported and package != BUNDLE:
        raise ModelError(f"{card.name} is a shipped model, whose code does not run a MONAI bundle", hint="give the bundle another name")
    if package == BUNDLE and not imported:
        raise ModelError(f"no code here runs {card.name!r}", hint=f"known: {', '.join(registry.names(root))}, and imported bundles")
    for what, value in (("name", card.name), ("version", card.version)):
        if not FOLDER_NAME.fullmatch(value):
            raise ModelError(f"{what} {value!r} cannot be the name of a folder", hint="use letters, digits, dots and dashes")
    digest, target = registry.folder_digest(source), folder / card.name / card.version
    if target.exists():
        if registry.folder_digest(target) != digest:
            raise ModelError(f"another {card.name} {card.version} is installed already", hint="raise version in card.toml")
        registry.verify_weights_in(target)
        return ModelVersion(target, package, card, digest, ModelOrigin.INSTALLED)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        for path in (weights, source / "card.toml", *source.glob(FILE), *source.glob(MARKS_FILE)):
            shutil.copyfile(path, part / path.name)
        registry.verify_weights_in(part)
        part.chmod(0o755)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return ModelVersion(target, package, card, digest, ModelOrigin.INSTALLED)


def version_for_rerun(
    name: str, wanted: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.MODELS_FOLDER
) -> ModelVersion:
    """The version on which a job with a result runs again: ``wanted``, as `find_version` takes it, or "" for the one that serves.

    Raises
    ------
    ModelError
        There is none, or it may not report: it is a shadow or retired.
    """
    if not wanted:
        return serving_version(name, known, folder, root)
    found = find_version(name, wanted, folder, root)
    state = next((one.state for one in known if one.digest == found.digest), None)
    if state in (ModelState.SHADOW, ModelState.RETIRED):
        what = "a shadow" if state is ModelState.SHADOW else "retired"
        raise ModelError(f"{name} {found.card.version} is {what} and reports nothing", hint=f"dicom-node models activate {name} VERSION")
    return found
