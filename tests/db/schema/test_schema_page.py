"""docs/schema.md says what the catalogue says."""

from db.engine import Database
from tests.support.schema_page import PAGE, page, uncommented


def test_every_table_view_and_column_has_a_comment(database: Database) -> None:
    assert uncommented(database) == []


def test_the_committed_page_is_that_of_the_catalogue(database: Database) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(database), "run `make schema` and commit docs/schema.md"
