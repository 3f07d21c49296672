"""Errors of the API as problem details (RFC 9457)."""

from http import HTTPStatus

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class InvalidPart(BaseModel):
    """One part of a request that was refused: ``where`` names it, as ``query.since``."""

    where: str
    message: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field("about:blank", description="Always `about:blank`: the status says what kind of problem it is")
    title: str = Field(description="Meaning of the status")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="What was expected, and what came")
    errors: list[InvalidPart] = Field([], description="Every part of the request that was refused")


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None, errors: list[InvalidPart] | None = None) -> JSONResponse:
    """Return a response with problem details."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])  # type: ignore[call-arg]
    return JSONResponse(content.model_dump(), status_code=status, headers=headers, media_type=MEDIA_TYPE)
