"""Counts with their noun, as pages say them."""

import pytest

from console.page_templates import build_templates
from core.counted import counted


@pytest.mark.parametrize(
    ("number", "noun", "plural", "said"),
    [
        (0, "object", "", "0 objects"),
        (1, "object", "", "1 object"),
        (2, "object", "", "2 objects"),
        (1, "study", "studies", "1 study"),
        (3, "study", "studies", "3 studies"),
    ],
)
def test_one_is_singular(number: int, noun: str, plural: str, said: str) -> None:
    assert counted(number, noun, plural) == said
    template = build_templates("NODE").env.from_string("{{ number|counted(noun, plural) }}")
    assert template.render(number=number, noun=noun, plural=plural) == said
