"""Deletes from an image's virtual environment what no role imports: ``python trim_venv.py VENV [PACKAGE...]``.

Runs in the build of the images, with an interpreter outside of the environment. Deleted are pip, tests and type stubs of packages, headers
of torch, lexers of Pygments, databases of SQLAlchemy that the node does not use and its mapper of objects, the images that pydicom ships
for its tests, the codecs of imagecodecs and Pillow that DICOM and the console do not have, the symbol tables of
extension modules, and the packages that the command line names. An image without torch keeps of scipy `ndimage` only, and writes no text
into images.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Folders and files, below site-packages: what only installs or tests other packages, and what no role imports.
UNUSED = (
    *("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth"),
    *("torch/include", "torch/share", "torch/test", "numpy/_core/include", "numpy/_core/lib"),
    *("pydicom/data/test_files", "alembic/testing", "sqlalchemy/testing", "sqlalchemy/orm"),
    *("sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle", "sqlalchemy/dialects/mssql", "numpy/distutils", "pynetdicom/apps"),
    *("onnx/backend", "onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools"),
    *(
        f"sqlalchemy/ext/{name}"
        for name in ("asyncio", "mypy", "declarative", "associationproxy.py", "automap.py", "hybrid.py", "mutable.py")
    ),
)
# What numpy's own tests call, and lists of files that only pip reads.
UNUSED_FILES = ("numpy/_core/_simd.*.so", "*.dist-info/RECORD")
# Packages whose folders `tests` are deleted. Not `testing`: numpy, scipy and torch import theirs.
TESTED = ("numpy", "scipy", "sympy", "mpmath", "networkx", "matplotlib", "pynetdicom", "billiard", "greenlet")
SUFFIXES = (".pyi", ".pxd", ".pyx", ".h", ".hpp", ".a", ".c", ".cpp")
# Extension modules of imagecodecs: decoders of imaging/pixels/codecs.py, encoders of `doctor`, and what these import.
CODECS = frozenset({"_shared", "_shared_cython", "_imcd", "_jpeg8", "_jpegls", "_jpeg2k", "_ljpeg", "_htj2k"})
# Extension modules of Pillow: JPEG, PNG, TIFF and JPEG 2000 are in the first; colour profiles, arithmetic. Only the worker writes text.
PILLOW = frozenset({"_imaging", "_imagingcms", "_imagingmath", "_imagingmorph"})
PILLOW_TEXT = frozenset({"_imagingft"})
# Of scipy, an image without torch needs `ndimage` and what it imports.
SCIPY = frozenset({"_lib", "ndimage"})
# `ndimage` imports `special` for `rotate` alone, which no role calls. `special` needs OpenBLAS and Fortran: 40 MB with them.
SPECIAL = '"""Empty: an image of dicom-node has only `scipy.ndimage` without `rotate` (deploy/images/trim_venv.py)."""\n'
LEXERS = frozenset({"__init__.py", "_mapping.py", "python.py", "special.py"})  # rich imports these


def trim(site_packages: Path, more: tuple[str, ...]) -> None:
    """Delete what is listed above, and ``more``, below ``site_packages``."""
    for name in (*UNUSED, *more):
        path = site_packages / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        for information in site_packages.glob(f"{name}-*.dist-info"):  # what is gone is not in the bill of materials
            shutil.rmtree(information)
    for pattern in UNUSED_FILES:
        for file in site_packages.glob(pattern):
            file.unlink()
    for package in TESTED:
        for folder in sorted((site_packages / package).rglob("tests")):
            shutil.rmtree(folder, ignore_errors=True)
    for file in site_packages.rglob("*"):
        if file.suffix in SUFFIXES and file.is_file():
            file.unlink()
    for lexer in (site_packages / "pygments/lexers").glob("*.py"):
        if lexer.name not in LEXERS:
            lexer.unlink()
    keep_modules(site_packages / "imagecodecs", CODECS, site_packages / "imagecodecs.libs")
    of_worker = (site_packages / "torch").exists()
    keep_modules(site_packages / "PIL", PILLOW | PILLOW_TEXT if of_worker else PILLOW, site_packages / "pillow.libs")
    if not of_worker:
        keep_ndimage(site_packages)
    for module in site_packages.rglob("*.so"):
        # Not torch's own libraries, which are stripped, and not the folders *.libs: auditwheel has moved the parts of those libraries, and
        # the dynamic loader refuses them once strip has moved the parts again.
        place = module.relative_to(site_packages).parts[0]
        if place != "torch" and not place.endswith(".libs"):
            subprocess.run(["strip", "--strip-unneeded", str(module)], check=True)


def keep_ndimage(site_packages: Path) -> None:
    """Delete of scipy everything but `ndimage`, and the shared libraries that only the deleted parts need."""
    scipy = site_packages / "scipy"
    for path in (*scipy.iterdir(), scipy / "_lib/cobyqa", scipy / "_lib/pyprima"):
        if path.is_dir() and path.name not in SCIPY:
            shutil.rmtree(path)
    (scipy / "special").mkdir()
    (scipy / "special/__init__.py").write_text(SPECIAL)
    keep_libraries(scipy.rglob("*.so"), site_packages / "scipy.libs")


def keep_modules(package: Path, names: frozenset[str], libraries: Path) -> None:
    """Delete the extension modules of a package except ``names``, and the shared libraries that only the deleted ones need."""
    kept = []
    for module in package.glob("*.so"):
        if module.name.split(".")[0] in names:
            kept.append(module)
        else:
            module.unlink()
    keep_libraries(kept, libraries)


def keep_libraries(modules: Iterable[Path], libraries: Path) -> None:
    """Delete the shared libraries in ``libraries`` that none of these extension modules needs."""
    needed: set[str] = set()
    for module in modules:
        listing = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True).stdout
        needed |= set(re.findall(rf"=> \S*{re.escape(libraries.name)}/(\S+)", listing))
    for library in libraries.glob("*"):
        if library.name not in needed:
            library.unlink()


if __name__ == "__main__":
    (found,) = Path(sys.argv[1]).glob("lib/python3.*/site-packages")
    trim(found, tuple(sys.argv[2:]))
