"""Pages of the API: lists are read from the newest entry to the oldest, by the number or place of the last entry (keyset paging)."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from db.listings.place import ListPlace

LARGEST_PAGE = 200
Entry = TypeVar("Entry")

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="Entries of a page.")]


class ListPage(BaseModel, Generic[Entry]):
    """One page of a list."""

    items: list[Entry] = Field(description="Entries, the newest first")
    next_before: int | None = Field(None, description="Value of `before` for the next page; null on the last page")


class PlacePage(BaseModel, Generic[Entry]):
    """One page of a list by time, whose entries change and go while it is read."""

    items: list[Entry] = Field(description="Entries, the latest first")
    next_before: str | None = Field(None, description="Value of `before` for the next page; null on the last page")


def place_page(items: list[Entry], places: list[ListPlace], limit: int) -> PlacePage[Entry]:
    """Return a page; ``places`` are those of its entries, and a full page has a next one."""
    return PlacePage(items=items, next_before=str(places[-1]) if len(places) == limit else None)


def list_page(items: list[Entry], numbers: list[int], limit: int) -> ListPage[Entry]:
    """Return a page; ``numbers`` are those of its entries, and a full page has a next one."""
    return ListPage(items=items, next_before=numbers[-1] if len(numbers) == limit else None)
