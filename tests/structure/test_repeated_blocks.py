"""No block of six lines stands twice in the product without a stated reason.

A line counts as it is, indentation apart. Blank lines, comments, docstrings, imports and lone punctuation do not count. A block may be
repeated where a comment ``# Repeated: <reason>`` stands in it or on the line before one of its two places.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable

from tests.structure.product import Module, modules

LINES = 6
REASON = "# Repeated: "


def _lines(module: Module) -> list[tuple[int, str]]:
    """(line number, text) of the lines that count."""
    skipped: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    kept = []
    for number, line in enumerate(module.text.splitlines(), 1):
        text = " ".join(line.split())
        if number not in skipped and any(letter.isalnum() for letter in text) and not text.startswith(("#", "@")):
            kept.append((number, text))
    return kept


def _reasoned(module: Module, first: int, last: int) -> bool:
    return any(REASON in line for line in module.text.splitlines()[max(0, first - 2) : last])


def _repeated(files: Iterable[Module]) -> list[str]:
    places = defaultdict(list)
    for module in files:
        lines = _lines(module)
        for start in range(len(lines) - LINES + 1):
            window = lines[start : start + LINES]
            places[tuple(text for _, text in window)].append((module, window[0][0], window[-1][0]))
    found = []
    for where in places.values():
        if len(where) > 1 and not any(_reasoned(*place) for place in where):
            found.append(" = ".join(f"{module.path}:{first}-{last}" for module, first, last in where))
    return sorted(found)


def test_no_block_is_repeated() -> None:
    assert _repeated(modules().values()) == []


def test_a_repeated_block_is_found_unless_a_reason_stands_there() -> None:
    block = "\n".join(f"value_{number} = {number}" for number in range(LINES)) + "\n"
    plain, reasoned = block + "x = 1\n" + block, block + f"{REASON}shown by a test\n" + block

    def module(text: str) -> Module:
        return Module("m", "m.py", text, ast.parse(text))

    assert _repeated([module(plain)]) == ["m.py:1-6 = m.py:8-13"]
    assert _repeated([module(reasoned)]) == []
