"""Groups files into units of analysis, as the node does: a series, or one image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import ConfigurationError, NodeError
from core.policy.admission import unit_kind
from core.records import InstanceHeader
from core.states import UnitKind
from deploy.offline.unreadable import unreadable
from imaging.headers.instance_header import read_header

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
_IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*")
NO_KNOWN_FILE = "its content is neither DICOM (the prefix DICM is missing) nor a JPEG, PNG or TIFF image"


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """One DICOM file and its header."""

    path: Path
    header: InstanceHeader


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of analysis. ``instances`` is empty for an image file that is not DICOM; ``paths`` are in the order found."""

    kind: UnitKind
    paths: tuple[Path, ...]
    instances: tuple[InstanceFile, ...] = ()

    @property
    def path(self) -> Path:
        """The file, or the folder that contains all files of a series."""
        if len(self.paths) == 1:
            return self.paths[0]
        folders = {path.parent for path in self.paths}
        shared = folders.pop()
        while not all(folder.is_relative_to(shared) for folder in folders):
            shared = shared.parent
        return shared

    @property
    def sop_instance_uid(self) -> str:
        """UID of a single image; empty for a series and for a file that is not DICOM."""
        alone = self.kind is UnitKind.IMAGE and self.instances
        return self.instances[0].header.sop_instance_uid if alone else ""

    @property
    def series_instance_uid(self) -> str:
        """UID of the series; empty for a file that is not DICOM."""
        return self.instances[0].header.series_instance_uid if self.instances else ""


@dataclass(slots=True)
class GatheredUnits:
    """What `gather_units` found.

    Attributes
    ----------
    units
        In the order in which their first file was found.
    unread
        Files that cannot be read, each with the reason.
    skipped
        Number of files in folders that are neither DICOM nor images.
    """

    units: list[Unit] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)
    skipped: int = 0


def gather_units(paths: Sequence[Path], *, kind: UnitKind | None = None) -> GatheredUnits:
    """Return the units of ``paths``: files, or folders with everything below them.

    ``kind`` decides how DICOM files are grouped; None: by their SOP class, as the node does.
    """
    result = GatheredUnits()
    series: dict[str, list[InstanceFile]] = {}
    order: list[str | Unit] = []
    for path, given in files_of(paths):
        try:
            head = _head(path)
        except OSError as error:
            result.unread.append((path, _reason(error, path)))
            continue
        dicom = head[128:132] == b"DICM"
        if not dicom and head.startswith(_IMAGE_SIGNATURES):
            order.append(Unit(UnitKind.IMAGE, (path,)))
            continue
        if not dicom and path.suffix.lower() in _IMAGE_SUFFIXES:
            result.unread.append((path, NO_KNOWN_FILE))
            continue
        if not dicom and not given:
            result.skipped += 1
            continue
        try:
            instance = InstanceFile(path, read_header(path))
        except OSError as error:
            result.unread.append((path, _reason(error, path)))
            continue
        except NodeError as error:
            result.unread.append((path, str(error) if dicom else f"{NO_KNOWN_FILE}; read as a data set without prefix: {error}"))
            continue
        if (kind or unit_kind(instance.header.sop_class_uid)) is UnitKind.IMAGE:
            order.append(Unit(UnitKind.IMAGE, (path,), (instance,)))
        else:
            uid = instance.header.series_instance_uid
            if uid not in series:
                order.append(uid)
            series.setdefault(uid, []).append(instance)
    result.units = [item if isinstance(item, Unit) else _series(series[item]) for item in order]
    return result


def files_of(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield (file, whether the file itself was given), folders in sorted order.

    Raises
    ------
    ConfigurationError
        A path does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from ((file, False) for file in sorted(path.rglob("*")) if file.is_file())
        elif path.exists():
            yield path, True
        else:
            raise ConfigurationError(f"{path} does not exist", hint="give existing files or folders")


def _series(instances: list[InstanceFile]) -> Unit:
    return Unit(UnitKind.SERIES, tuple(instance.path for instance in instances), tuple(instances))


def _reason(error: OSError, path: Path) -> str:
    return str(unreadable(error, [path]) or error)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)
