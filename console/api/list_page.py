"""Pages of the API: lists are read from the newest entry to the oldest, by the number of the last entry (keyset paging)."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

LARGEST_PAGE = 200
Entry = TypeVar("Entry")

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Entries of a page.")]


class ListPage(BaseModel, Generic[Entry]):
    """One page of a list."""

    items: list[Entry] = Field(description="Entries, the newest first")
    next_before: int | None = Field(None, description="Value of `before` for the next page; null on the last page")


def list_page(items: list[Entry], numbers: list[int], limit: int) -> ListPage[Entry]:
    """Return a page; ``numbers`` are those of its entries, and a full page has a next one."""
    return ListPage(items=items, next_before=numbers[-1] if len(numbers) == limit else None)
