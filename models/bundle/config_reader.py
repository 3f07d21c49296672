"""A bundle's configuration as data: literals, references, and calls that are taken apart instead of called.

``"$a.b.c(1, x=[2])"`` is parsed to ``Call("a.b.c", (1,), {"x": [2]})``; whatever is more than a call with literals and
references stays text, and is refused where it is needed. Nothing is evaluated or imported.
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
MARK = "_reference_"
REFERENCE = re.compile(r"@(\w+)")


@dataclass(frozen=True, slots=True)
class Call:
    """What a bundle wants called, and with what; references are resolved."""

    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.target.rpartition(".")[2]

    def argument(self, place: int, key: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(key, default)


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration file."""

    values: Mapping[str, Any]
    where: str

    def get(self, key: str) -> Any:
        """The value of ``key`` as data; None where it is absent.

        Raises
        ------
        ModelError
            It is an expression that is not just a call, or refers in a circle.
        """
        return self._resolved(self.values.get(key), key, 0)

    def need(self, key: str) -> Any:
        found = self.get(key)
        if found is None:
            raise ModelError(f"{self.where} has no {key!r}", hint="the layout of MONAI's Model Zoo is expected")
        return found

    def _resolved(self, value: Any, key: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ModelError(f"{self.where}: {key!r} refers in a circle, or too deep")
        if isinstance(value, str) and value.startswith("$"):
            return self._call(value, key, depth)
        if isinstance(value, str) and REFERENCE.fullmatch(value):
            name = value[1:]
            if name not in self.values:
                raise ModelError(f"{self.where}: {key!r} refers to {value}, which is not there")
            return self._resolved(self.values[name], name, depth + 1)
        if isinstance(value, Mapping) and "_target_" in value:
            kwargs = {k: self._resolved(v, f"{key}.{k}", depth + 1) for k, v in value.items() if not k.startswith("_")}
            return Call(str(value["_target_"]), (), kwargs)
        if isinstance(value, list):
            return [self._resolved(item, key, depth + 1) for item in value]
        return value

    def _call(self, text: str, key: str, depth: int) -> Call:
        refused = ModelError(f"{self.where}: {key!r} is an expression, and expressions are not run: {text[:80]}")
        try:
            tree = ast.parse(REFERENCE.sub(rf"{MARK}\1", text[1:]).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise refused from None
        if not isinstance(tree, ast.Call) or any(word.arg is None for word in tree.keywords):
            raise refused
        target = _dotted(tree.func)
        if not target:
            raise refused
        args = tuple(self._value(node, key, depth, refused) for node in tree.args)
        return Call(target, args, {str(word.arg): self._value(word.value, key, depth, refused) for word in tree.keywords})

    def _value(self, node: ast.expr, key: str, depth: int, refused: ModelError) -> Any:
        if isinstance(node, ast.Name) and node.id.startswith(MARK):
            return self._resolved(f"@{node.id.removeprefix(MARK)}", key, depth + 1)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise refused from None


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute; "" for anything else. A reference's name begins with "@"."""
    if isinstance(node, ast.Name):
        return "@" + node.id.removeprefix(MARK) if node.id.startswith(MARK) else node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def read_config(folder: Path, name: str) -> Config:
    """``name``.json of ``folder``, else .yaml or .yml.

    Raises
    ------
    ModelError
        Absent, too large, or no table; YAML with tags, or with aliases, which can make a small file a huge one.
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
        raise ModelError(f"{where} is no text: {error}") from error
    values = _json(text, where) if path.suffix == ".json" else _yaml(text, where)
    if not isinstance(values, dict):
        raise ModelError(f"{where} holds no {'JSON object' if path.suffix == '.json' else 'table'}")
    return Config(values, where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is no JSON: {error}") from error


def _yaml(text: str, where: str) -> Any:
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ModelError(f"{where} has aliases (*name), which are not read", hint="write the values out")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ModelError(f"{where} is no plain YAML: {str(error).splitlines()[0]}") from error
