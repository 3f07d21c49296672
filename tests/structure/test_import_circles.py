"""No module of the product imports itself through others, imports inside functions included."""

import networkx

from tests.structure.product import imports, modules


def test_no_import_circle() -> None:
    graph = networkx.DiGraph((name, imported) for name, module in modules().items() for imported in imports(module))
    circles = [sorted(part) for part in networkx.strongly_connected_components(graph) if len(part) > 1]
    assert circles == []


def test_a_circle_would_be_found() -> None:
    graph = networkx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    assert [sorted(part) for part in networkx.strongly_connected_components(graph) if len(part) > 1] == [["a", "b", "c"]]


def test_imports_inside_functions_count() -> None:
    assert "deploy.cli.main" in modules()
    lazy = modules()["deploy.cli.main"]
    assert imports(lazy), "the command line imports its commands"
