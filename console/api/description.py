"""What the description of the API (OpenAPI) says about sign-in and errors, for every route under /api/v1."""

from typing import Any

from fastapi import FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer

from console.api.replies.problems import MEDIA_TYPE, Problem
from console.auth.scopes import API, scope_of

BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="API token of the account page or of `dicom-node users token add` (RFC 6750)."
)
API_ROUTES: dict[str, Any] = {"dependencies": [Security(BEARER)]}
"""Arguments of every router of the API."""

MEANINGS = {
    "400": "The body cannot be read as what it says it is, or the host name of the request is none of the console",
    "401": "No token, or one that is unknown, expired or revoked",
    "403": "The scope of the token, or the role of its user, does not allow it",
    "404": "There is no such entry",
    "409": "The entry is in a state in which this is not possible",
    "413": "The body is too large",
    "422": "The request does not fit this description",
    "503": "The database does not respond",
}
INTRODUCTION = """\
What the pages of the console do, for programs. Requests bring an API token (`Authorization: Bearer TOKEN`), which has scopes, expires, and
acts in the name of its user; each answer with patient data is an audit event. Lists are paged: `before` takes the `next_before` of the page
before. Errors are problem details (RFC 9457)."""


def describe(application: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with problem details as the body of every error of the API."""
    document = get_openapi(title=application.title, version="1", description=INTRODUCTION, routes=application.routes)
    schemas = document["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schemas["Problem"].pop("$defs", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    body = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in document["paths"].items():
        scope = scope_of(path)
        if not path.startswith(API) or scope is None:
            continue
        for operation in operations.values():
            operation["description"] = f"{operation.get('description', '')}\n\nScope of the token: `{scope}`.".strip()
            for status, meaning in MEANINGS.items():
                operation["responses"][status] = {"description": meaning, "content": body}
    return document
