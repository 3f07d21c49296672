"""Reads a bundle's configuration as data: literals, references, and calls that are parsed but never made.

``"$a.b.c(1, x=[2])"`` becomes ``BundleCall("a.b.c", (1,), {"x": [2]})``. An expression that is more than a call with literals and
references, or the name of a number type (``"$torch.float32"``), is an error where its value is needed. Nothing is evaluated or imported.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelError

MAX_CONFIG_BYTES = 4 << 20
MAX_DEPTH = 20
SUFFIXES = (".json", ".yaml", ".yml")
REFERENCE_PREFIX = "_reference_"
DTYPES = tuple(f"{package}.{name}" for package in ("torch", "np", "numpy") for name in ("float16", "float32", "float64", "uint8", "int64"))
REFERENCE = re.compile(r"@(\w+)")


@dataclass(frozen=True, slots=True)
class BundleCall:
    """A call in a bundle's configuration with its arguments; references are resolved. It is never made.

    ``may_be_disabled``: whether it has a ``_disabled_`` that is not false; MONAI leaves the call out where that is true.
    """

    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    may_be_disabled: bool = False

    @property
    def name(self) -> str:
        """The last part of the dotted target."""
        return self.target.rpartition(".")[2]

    def argument(self, position: int, key: str, default: Any = None) -> Any:
        """An argument by its position or its name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(key, default)


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """One configuration file."""

    values: Mapping[str, Any]
    where: str

    def get(self, key: str) -> Any:
        """The value of ``key`` as data; None where it is absent.

        Raises
        ------
        ModelError
            The value is an expression that is more than a call, or its references form a circle.
        """
        return self._resolved(self.values.get(key), key, 0)

    def require(self, key: str) -> Any:
        """As ``get``. Raises ModelError where the key is absent."""
        found = self.get(key)
        if found is None:
            raise ModelError(f"{self.where} has no {key!r}", hint="the layout of MONAI's Model Zoo is expected")
        return found

    def _resolved(self, value: Any, key: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ModelError(f"{self.where}: {key!r} refers to itself, or its references are nested too deep")
        if isinstance(value, str) and value.startswith("$"):
            return self._parse_call(value, key, depth)
        if isinstance(value, str) and REFERENCE.fullmatch(value):
            name = value[1:]
            if name not in self.values:
                raise ModelError(f"{self.where}: {key!r} refers to {value}, which does not exist")
            return self._resolved(self.values[name], name, depth + 1)
        if isinstance(value, Mapping) and "_target_" in value:
            kwargs = {k: self._resolved(v, f"{key}.{k}", depth + 1) for k, v in value.items() if not k.startswith("_")}
            return BundleCall(str(value["_target_"]), (), kwargs, value.get("_disabled_", False) is not False)
        if isinstance(value, list):
            return [self._resolved(item, key, depth + 1) for item in value]
        return value

    def _parse_call(self, text: str, key: str, depth: int) -> BundleCall | str:
        refused = ModelError(f"{self.where}: {key!r} is an expression, and expressions are not run: {text[:80]}")
        try:
            tree = ast.parse(REFERENCE.sub(rf"{REFERENCE_PREFIX}\1", text[1:]).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise refused from None
        if (dtype := _dotted(tree)) in DTYPES:
            return dtype.rpartition(".")[2]
        if not isinstance(tree, ast.Call) or any(word.arg is None for word in tree.keywords):
            raise refused
        target = _dotted(tree.func)
        if not target:
            raise refused
        args = tuple(self._parse_argument(node, key, depth, refused) for node in tree.args)
        return BundleCall(target, args, {str(word.arg): self._parse_argument(word.value, key, depth, refused) for word in tree.keywords})

    def _parse_argument(self, node: ast.expr, key: str, depth: int, refused: ModelError) -> Any:
        if isinstance(node, ast.Name) and node.id.startswith(REFERENCE_PREFIX):
            return self._resolved(f"@{node.id.removeprefix(REFERENCE_PREFIX)}", key, depth + 1)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise refused from None


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute; "" for anything else. A reference's name begins with "@"."""
    if isinstance(node, ast.Name):
        return "@" + node.id.removeprefix(REFERENCE_PREFIX) if node.id.startswith(REFERENCE_PREFIX) else node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def read_config(folder: Path, name: str) -> BundleConfig:
    """Read ``name``.json of ``folder``, else .yaml or .yml.

    Raises
    ------
    ModelError
        The file is absent, too large or holds no table; or it is YAML with tags or with aliases, which can expand to any size.
    """
    path = next((folder / f"{name}{end}" for end in SUFFIXES if (folder / f"{name}{end}").exists()), folder / f"{name}.json")
    where = f"{path.parent.name}/{path.name}"
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelError(f"{where} is larger than {MAX_CONFIG_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "a bundle has configs/metadata.json and configs/inference.json"
        raise ModelError(f"{where} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{where} is not UTF-8 text: {error}") from error
    values = _json(text, where) if path.suffix == ".json" else _yaml(text, where)
    if not isinstance(values, dict):
        raise ModelError(f"{where} holds no {'JSON object' if path.suffix == '.json' else 'table'}")
    return BundleConfig(values, where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not JSON: {error}") from error


def _yaml(text: str, where: str) -> Any:
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ModelError(f"{where} has aliases (*name), which are not read", hint="write the values in full")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelError(f"{where} is no plain YAML: {str(error).splitlines()[0]}") from error
