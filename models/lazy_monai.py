"""Makes MONAI import only what is used.

``import monai`` imports every module of MONAI, matplotlib and scipy.signal among them: 5 s of processor time and 300 MB, at the start of
every worker. A package of MONAI whose ``__init__`` only re-exports names from its own modules is replaced by one that imports a module when
one of its names is used. Every other module is loaded as it is.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "monai"
# Its `__init__` also registers how a MetaTensor is passed between processes, which this project does not do.
DATA_PACKAGE = "monai.data"


class LazyPackageFinder(MetaPathFinder):
    """Finds the packages of MONAI that can be loaded lazily; leaves every other module to Python's own finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the specification of a package of MONAI with a lazy loader; None for any other module."""
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or spec.submodule_search_locations is None:
            return None
        if fullname == PACKAGE:
            exported: Mapping[str, tuple[str, str]] | None = {}
        else:
            exported = exported_names(Path(spec.origin).read_text(encoding="utf-8"), skip_blocks=fullname == DATA_PACKAGE)
        if exported is None or any((Path(spec.origin).parent / f"{name}.py").exists() for name in exported):
            return None
        spec.loader = LazyPackageLoader(fullname, spec.origin, exported)
        return spec


class LazyPackageLoader(importlib.machinery.SourceFileLoader):
    """Loads a package without its modules.

    Parameters
    ----------
    exported
        Where each name of the package is defined: (module, name there); the module is "" for a module of the package itself.
    """

    def __init__(self, fullname: str, path: str, exported: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(fullname, path)
        self._exported = exported

    def exec_module(self, module: ModuleType) -> None:
        """Give the package a ``__getattr__`` (PEP 562) that imports the module of a name at its first use."""
        package, exported = module.__name__, self._exported
        if package == PACKAGE:
            _set_version(module)

        def find(name: str) -> Any:
            if name in exported:
                place, original = exported[name]
                found = getattr(importlib.import_module(f"{package}.{place}"), original) if place else None
                value = found if place else importlib.import_module(f"{package}.{original}")
            elif importlib.util.find_spec(f"{package}.{name}") is not None:
                value = importlib.import_module(f"{package}.{name}")
            else:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            setattr(module, name, value)
            return value

        module.__dict__.update(__getattr__=find, __all__=list(exported))


def exported_names(source: str, *, skip_blocks: bool = False) -> dict[str, tuple[str, str]] | None:
    """Return where each name of a package is defined; None where its ``__init__`` does more than to re-export names of its modules.

    ``skip_blocks``: plain imports and ``with`` blocks are left out.
    """
    found: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.ImportFrom(module="__future__") | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                continue
            case ast.ImportFrom(level=1, module=place, names=names) if all(alias.name != "*" for alias in names):
                found.update({alias.asname or alias.name: (place or "", alias.name) for alias in names})
            case ast.Import() | ast.With() if skip_blocks:
                continue
            case _:
                return None
    return found


def _set_version(module: ModuleType) -> None:
    version = importlib.import_module(f"{PACKAGE}._version").get_versions()
    module.__dict__.update(
        __version__=str(version.get("version", "")),
        __revision_id__=str(version.get("full-revisionid") or ""),
        __basedir__=str(Path(str(module.__file__)).parent),
    )


def install() -> None:
    """Load MONAI lazily in this process, unless it is loaded already."""
    if PACKAGE not in sys.modules and not any(isinstance(finder, LazyPackageFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LazyPackageFinder())
