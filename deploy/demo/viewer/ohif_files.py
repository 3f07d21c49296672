"""Downloads the built files of OHIF, the viewer, from npm's registry: one pinned version, into a cache folder outside git.

``python -m deploy.demo.viewer.ohif_files`` downloads it once; `make test` and `make viewer` run this.
"""

import base64
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from core.errors import StorageError

VERSION = "3.13.2"
URL = f"https://registry.npmjs.org/@ohif/app/-/app-{VERSION}.tgz"
SHA512 = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="  # as the registry states it
CACHE = Path(__file__).resolve().parents[3] / ".cache"
DIST = PurePosixPath("package/dist")
NOT_SERVED = ("ort",)  # the ONNX runtime for networks inside the browser: 136 MB that none of our pages loads
TIMEOUT_S = 120.0


def find_ohif() -> Path | None:
    """Return the folder of the built viewer; None when it has not been downloaded."""
    folder = CACHE / f"ohif-{VERSION}"
    return folder if (folder / "index.html").is_file() else None


def fetch_ohif() -> Path:
    """Return the folder of the built viewer, downloading it first if needed. An archive with another hash is not unpacked.

    Raises
    ------
    StorageError
        The registry cannot be reached, or the archive does not have the pinned hash.
    """
    if (found := find_ohif()) is not None:
        return found
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        archive = Path(scratch) / "app.tgz"
        try:
            with urllib.request.urlopen(URL, timeout=TIMEOUT_S) as answer, archive.open("wb") as stream:
                shutil.copyfileobj(answer, stream)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise StorageError(f"OHIF cannot be downloaded from {URL}: {error}", hint="only screenshots need it") from None
        with archive.open("rb") as stream:
            found_hash = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
        if found_hash != SHA512:
            raise StorageError(f"OHIF from {URL} has sha512 {found_hash}, not {SHA512}", hint="does a proxy change downloads?")
        unpacked = Path(scratch) / "dist"
        _unpack(archive, unpacked)
        folder = CACHE / f"ohif-{VERSION}"
        try:
            os.rename(unpacked, folder)
        except OSError:
            if find_ohif() is None:  # otherwise another process has finished the same download
                raise
    return folder


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as files:
        for member in files:
            path = PurePosixPath(member.name)
            if not member.isfile() or not path.is_relative_to(DIST) or ".." in path.parts:
                continue
            inside = path.relative_to(DIST)
            if inside.parts[0] in NOT_SERVED or inside.suffix == ".map":
                continue
            content = files.extractfile(member)
            assert content is not None
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            (target / inside).write_bytes(content.read())


if __name__ == "__main__":
    try:
        sys.stderr.write(f"OHIF {VERSION}: {fetch_ohif()}\n")
    except StorageError as reason:
        sys.exit(str(reason))
