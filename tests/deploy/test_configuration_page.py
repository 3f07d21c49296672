"""docs/configuration.md is what `deploy.configuration_page` generates from the settings."""

from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.settings.settings import Settings
from deploy.configuration_page import PAGE, page, table_of


def _fields(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every table and value of the settings, by its dotted name."""
    for name, field in model.model_fields.items():
        where = f"{place}.{name}".removeprefix(".")
        yield where, field
        inner = table_of(field)
        if inner is not None:
            yield from _fields(inner, where)


def test_the_committed_page_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run `make docs`"


def test_every_field_is_described_in_a_sentence() -> None:
    undescribed = [name for name, field in _fields(Settings) if not (field.description or "").endswith((".", ")", "`"))]
    assert undescribed == []
