"""Downloads the built files of OHIF, the viewer, from npm's registry: one pinned version, into a cache folder outside git.

``python -m deploy.demo.viewer.ohif_files`` downloads it once; `make test` and `make viewer` run this.
"""

import sys
from pathlib import Path, PurePosixPath

from core.errors import StorageError
from deploy.demo.viewer.npm_package import CACHE, NpmPackage, fetch_package

VERSION = "3.13.2"
PACKAGE = NpmPackage(
    "@ohif/app",
    VERSION,
    "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
    "only screenshots need OHIF",
)
DIST = PurePosixPath("package/dist")
NOT_SERVED = ("ort",)  # the ONNX runtime for networks inside the browser: 136 MB that none of our pages loads


def find_ohif() -> Path | None:
    """Return the folder of the built viewer; None when it has not been downloaded."""
    folder = CACHE / f"ohif-{VERSION}"
    return folder if (folder / "index.html").is_file() else None


def fetch_ohif() -> Path:
    """Return the folder of the built viewer, downloading it first if needed.

    Raises
    ------
    StorageError
        The registry cannot be reached, or the archive does not have the pinned hash.
    """
    return fetch_package(PACKAGE, CACHE / f"ohif-{VERSION}", _served)


def _served(path: PurePosixPath) -> PurePosixPath | None:
    if not path.is_relative_to(DIST):
        return None
    inside = path.relative_to(DIST)
    return None if inside.parts[0] in NOT_SERVED or inside.suffix == ".map" else inside


if __name__ == "__main__":
    try:
        sys.stderr.write(f"OHIF {VERSION}: {fetch_ohif()}\n")
    except StorageError as reason:
        sys.exit(str(reason))
