"""Values as people read them."""

import pytest

from console.formats import format_sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [("no route takes modality MR", "No route takes modality MR"), ("chest CT: Modality is MR", "Chest CT: Modality is MR"), ("", "")],
)
def test_only_the_first_letter_becomes_a_capital(text: str, said: str) -> None:
    assert format_sentence(text) == said
