"""axe-core, which looks for barriers to accessibility in a page: pinned, from npm's registry, in a cache folder outside git.

``python -m tests.support.axe_core`` downloads it once; `make test` runs this.
"""

import sys
from pathlib import Path, PurePosixPath

from core.errors import StorageError
from deploy.demo.viewer.npm_package import CACHE, NpmPackage, fetch_package

VERSION = "4.14.1"
PACKAGE = NpmPackage(
    "axe-core",
    VERSION,
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    "only the test of accessibility needs it",
)


def fetch_axe() -> Path:
    """Return the script that defines ``axe`` in a page, downloading it first if needed.

    Raises
    ------
    StorageError
        The registry cannot be reached, or the archive does not have the pinned hash.
    """
    return fetch_package(PACKAGE, CACHE / f"axe-core-{VERSION}", _script) / "axe.min.js"


def _script(path: PurePosixPath) -> PurePosixPath | None:
    return PurePosixPath(path.name) if path.name == "axe.min.js" and len(path.parts) == 2 else None


if __name__ == "__main__":
    try:
        sys.stderr.write(f"axe-core {VERSION}: {fetch_axe()}\n")
    except StorageError as reason:
        sys.exit(str(reason))
