"""Cells of CSV files that no spreadsheet takes for formulas (OWASP, CSV Injection)."""

import json
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def format_csv_cell(value: Any) -> str:
    """Return a value as the text of a cell: JSON for objects and lists; an apostrophe before text that begins like a formula.

    Numbers keep their sign.
    """
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) and not isinstance(value, int | float) else text
