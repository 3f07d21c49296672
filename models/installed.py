"""Models in the package and models put into ``node.data_dir/models`` by a person; which of them serves.

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

FOLDER = "models"  # in node.data_dir
BUNDLE_KIND = "monai.apps.detection.RetinaNet"
SEGMENTATION_KINDS = ("monai.networks.nets.UNet", "monai.networks.nets.SegResNet")
BUNDLE = "bundle"  # the package that runs what is not shipped
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Card and weights that are there. ``package``: whose code in ``models`` runs them."""

    room: Path
    package: str
    card: ModelCard
    digest: str
    origin: ModelOrigin


def places(name: str, folder: Path, root: Path = registry.ROOMS) -> tuple[Place, ...]:
    """Every version of ``name`` that is here, the packaged one first, then the installed ones by version.

    Raises
    ------
    ModelError
        No such model, or a card that cannot be read.
    """
    package = package_of(name, root)
    found = []
    if package != BUNDLE:
        room = registry.folder(name, root)
        found.append(Place(room, package, read_card(room / "card.toml"), registry.folder_digest(room), ModelOrigin.PACKAGE))
    for path in sorted((folder / name).glob("[!.]*/card.toml")):
        card = read_card(path)
        if card.name != name or card.version != path.parent.name:
            raise ModelError(f"{path} is the card of {card.name} {card.version}", hint="remove the folder, and import the model again")
        digest = registry.folder_digest(path.parent)
        if digest not in {one.digest for one in found}:
            found.append(Place(path.parent, package, card, digest, ModelOrigin.INSTALLED))
    if not found:
        registry.folder(name, root)  # raises, and names those that there are
    return tuple(found)


def package_of(name: str, root: Path = registry.ROOMS) -> str:
    """Whose code runs the model of that name."""
    found = registry.rooms(root).get(name)
    return found.name if found is not None else BUNDLE


def names(folder: Path, root: Path = registry.ROOMS) -> list[str]:
    """Every model that is shipped or installed, sorted."""
    return sorted({*registry.rooms(root), *(path.parent.parent.name for path in folder.glob("[!.]*/[!.]*/card.toml"))})


def find(name: str, wanted: str, folder: Path, root: Path = registry.ROOMS) -> Place:
    """The version of ``name`` with that version number, or with a digest that starts so (8 digits at least).

    Raises
    ------
    ModelError
        None, or more than one.
    """
    here = places(name, folder, root)
    fitting = [one for one in here if one.card.version == wanted or (len(wanted) >= 8 and one.digest.startswith(wanted))]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(f"{one.card.version} ({one.digest[:12]}, {one.origin})" for one in here)
    what = "more than one version" if fitting else "no version"
    raise ModelError(f"{what} of {name} is {wanted}", hint=f"there are: {known}")


def serving(name: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.ROOMS) -> Place:
    """The version that new jobs are for.

    The active one. Where the registry knows nothing of the name yet, or the active one was that of an older release,
    the packaged one: installing a release is a deliberate act, too. Never another one in place of what a person chose.

    Raises
    ------
    ModelError
        The active version is gone, or a person retired it and activated no other.
    """
    here = places(name, folder, root)
    mine = [one for one in known if one.name == name]
    active = next((one for one in mine if one.state is ModelState.ACTIVE), None)
    if active is None:
        if any(one.activated for one in mine) or here[0].origin is not ModelOrigin.PACKAGE:
            raise ModelError(f"no version of {name} is active", hint=f"dicom-node models activate {name} VERSION")
        return here[0]
    for place in here:
        if place.digest == active.digest:
            return place
    packaged = next((one for one in mine if one.digest == here[0].digest), None)
    if active.origin is here[0].origin is ModelOrigin.PACKAGE and (packaged is None or packaged.state is ModelState.STANDBY):
        return here[0]
    raise ModelError(
        f"the active version of {name}, {active.version} ({active.digest[:12]}), is not here any more",
        hint=f"put it back into {folder / name}, or activate another version",
    )


def shadowing(name: str, known: Sequence[RegisteredModel], folder: Path, root: Path = registry.ROOMS) -> tuple[Place, ...]:
    """The versions that run beside the active one and are never reported; those that are gone are left out."""
    shadows = {one.digest for one in known if one.name == name and one.state is ModelState.SHADOW}
    return tuple(place for place in places(name, folder, root) if place.digest in shadows)


def install(source: Path, folder: Path, root: Path = registry.ROOMS) -> Place:
    """Copy card and weights from ``source`` to where they serve from; a person has still to activate them.

    Raises
    ------
    ModelError
        The weights are not those of the card, no code here can run them, or another model has that version already.
    """
    weights = registry.verify_folder(source)
    card = read_card(source / "card.toml")
    package = package_of(card.name, root)
    if package == BUNDLE and card.network.get("kind") not in (BUNDLE_KIND, *SEGMENTATION_KINDS):
        raise ModelError(f"no code here runs {card.name!r}", hint=f"known: {', '.join(registry.names(root))}, and imported bundles")
    for what, value in (("name", card.name), ("version", card.version)):
        if not PLAIN.fullmatch(value):
            raise ModelError(f"{what} {value!r} is no name of a folder", hint="letters, digits, dots and dashes")
    digest, target = registry.folder_digest(source), folder / card.name / card.version
    if target.exists():
        if registry.folder_digest(target) != digest:
            raise ModelError(f"{card.name} {card.version} is installed already, and is another one", hint="raise version in card.toml")
        registry.verify_folder(target)
        return Place(target, package, card, digest, ModelOrigin.INSTALLED)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        for path in (weights, source / "card.toml"):
            shutil.copyfile(path, part / path.name)
        registry.verify_folder(part)
        part.chmod(0o755)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Place(target, package, card, digest, ModelOrigin.INSTALLED)
