"""Every module, public class, public function and public method of the product has a docstring."""

import ast

import pytest

from tests.structure.product import PACKAGES, modules


def _missing(tree: ast.Module) -> list[str]:
    """Names of the public definitions without a docstring; a module without one is ``<module>``."""
    missing = [] if ast.get_docstring(tree) else ["<module>"]
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            missing.append(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            missing += [f"{node.name}.{part.name}" for part in methods if not part.name.startswith("_") and not ast.get_docstring(part)]
    return missing


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_are_present(package: str) -> None:
    inside = [module for module in modules().values() if module.name.split(".")[0] == package]
    assert {module.path: names for module in inside if (names := _missing(module.tree))} == {}


def test_a_missing_docstring_is_found() -> None:
    text = "class A:\n    def b(self): ...\n    def _c(self): ...\ndef d():\n    'Says what.'\n"
    assert _missing(ast.parse(text)) == ["<module>", "A", "A.b"]
