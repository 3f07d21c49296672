"""Downloads one pinned version of a package from npm's registry, checks its hash, and keeps the wanted files in a folder outside git."""

import base64
import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.errors import StorageError

CACHE = Path(__file__).resolve().parents[3] / ".cache"
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A version of a package.

    Attributes
    ----------
    name, version
        As in the registry; a scope such as ``@ohif/`` belongs to the name.
    sha512
        Hash of the archive as the registry states it, in base64.
    purpose
        What needs the package, as the hint of an error.
    """

    name: str
    version: str
    sha512: str
    purpose: str

    @property
    def url(self) -> str:
        """Address of the archive."""
        return f"https://registry.npmjs.org/{self.name}/-/{self.name.rsplit('/', 1)[-1]}-{self.version}.tgz"


def fetch_package(package: NpmPackage, folder: Path, select: Callable[[PurePosixPath], PurePosixPath | None]) -> Path:
    """Return ``folder`` with the files of the package, downloading them first if the folder is absent.

    ``select`` gets the path of a file in the archive and returns its path in the folder, or None for a file that is not wanted.
    An archive with another hash is not unpacked.

    Raises
    ------
    StorageError
        The registry cannot be reached, or the archive does not have the pinned hash.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = Path(scratch) / "package.tgz"
        try:
            with urllib.request.urlopen(package.url, timeout=TIMEOUT_S) as answer, archive.open("wb") as stream:
                shutil.copyfileobj(answer, stream)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise StorageError(f"{package.name} cannot be downloaded from {package.url}: {error}", hint=package.purpose) from None
        with archive.open("rb") as stream:
            found = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
        if found != package.sha512:
            raise StorageError(f"{package.url} has sha512 {found}, not {package.sha512}", hint="does a proxy change downloads?")
        unpacked = Path(scratch) / "unpacked"
        _unpack(archive, unpacked, select)
        try:
            os.rename(unpacked, folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process has finished the same download
                raise
    return folder


def _unpack(archive: Path, target: Path, select: Callable[[PurePosixPath], PurePosixPath | None]) -> None:
    with tarfile.open(archive) as files:
        for member in files:
            path = PurePosixPath(member.name)
            if not member.isfile() or ".." in path.parts or (wanted := select(path)) is None:
                continue
            content = files.extractfile(member)
            assert content is not None
            (target / wanted).parent.mkdir(parents=True, exist_ok=True)
            (target / wanted).write_bytes(content.read())
