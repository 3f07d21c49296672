"""Revisions of the schema follow each other in one line: two changes that were made at the same time do not take the same number."""

import re
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "db" / "schema" / "versions"


def test_each_revision_follows_the_one_before() -> None:
    found = [
        (path.name[:4], *re.findall(r'^(?:down_)?revision = (?:"(\d+)"|None)', path.read_text(), re.MULTILINE))
        for path in sorted(VERSIONS.glob("[0-9]*.py"))
    ]
    numbers = [f"{number:04}" for number in range(1, len(found) + 1)]
    assert found == [(number, number, before) for number, before in zip(numbers, ["", *numbers], strict=False)]
