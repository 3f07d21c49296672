"""Parameters that several routes share: row numbers, search texts, dates, forms. Values that the database cannot hold are refused here."""

from datetime import date
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from starlette.datastructures import FormData

from db.listings.place import PATTERN

LARGEST_ID = 2**63 - 1  # of the type bigint
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL in text

RowId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
"""Number of a row, in a path."""

Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only entries before the one with this number: the next page.")]
"""Keyset paging: the number of the last entry of the page before."""

BeforePlace = Annotated[str | None, Query(pattern=PATTERN, description="Only entries before this place: `next_before` of the page before.")]
"""Keyset paging of a list by time, whose rows change and go: the place of the last entry (`db.listings.place.ListPlace`)."""

SearchText = Annotated[str, Query(max_length=200, pattern=NO_NUL)]
"""What a person or a program searches for."""


async def _read_form(request: Request) -> FormData:
    return await request.form()


PostedForm = Annotated[FormData, Depends(_read_form)]
"""The form of a request. A route that takes it is a plain function, which runs in a thread and may wait for the database."""


def read_date(value: str) -> date | None:
    """Return an ISO date; None for an empty or wrong one, because a half-typed date is no error."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None
