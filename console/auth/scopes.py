"""Scopes of API tokens: which part of the API a token opens. The role of the user limits it further (`access`)."""

from enum import StrEnum

from console.auth.access import ACCESS, UserRole

API = "/api/v1/"


class Scope(StrEnum):
    """A part of the API."""

    RESULTS = "results"  # reads studies, findings, result objects and figures
    OPERATIONS = "operations"  # reads jobs and deliveries, and carries out commands on them
    AUDIT = "audit"  # reads the audit trail and verifies it
    USERS = "users"  # manages users
    UPLOAD = "upload"  # sends images for analysis
    VERDICTS = "verdicts"  # reads and gives verdicts, and releases results that wait for one


MEANING = {
    Scope.RESULTS: "read studies, findings, result objects and figures",
    Scope.OPERATIONS: "read jobs, deliveries, routes and destinations, and give commands on them",
    Scope.AUDIT: "search, export and verify the audit trail",
    Scope.USERS: "manage users",
    Scope.UPLOAD: "send images for analysis",
    Scope.VERDICTS: "read and give verdicts, release results that wait for one",
}
SECTIONS = {
    "studies": Scope.RESULTS,
    "findings": Scope.RESULTS,
    "objects": Scope.RESULTS,
    "dashboard": Scope.RESULTS,
    "jobs": Scope.OPERATIONS,
    "deliveries": Scope.OPERATIONS,
    "units": Scope.OPERATIONS,
    "quarantine": Scope.OPERATIONS,
    "alerts": Scope.OPERATIONS,
    "commitments": Scope.OPERATIONS,
    "notifications": Scope.OPERATIONS,
    "audit": Scope.AUDIT,
    "users": Scope.USERS,
    "predict": Scope.UPLOAD,
    "uploads": Scope.UPLOAD,
    "routes": Scope.OPERATIONS,
    "destinations": Scope.OPERATIONS,
    "commands": Scope.OPERATIONS,
    "results": Scope.VERDICTS,
}
"""Scope by the first word of a path behind ``/api/v1/``. A path that is not listed opens with no token."""


def scope_of(path: str) -> Scope | None:
    """Return the scope that a token needs for a path of the API; None where no token opens it."""
    return SECTIONS.get(path.removeprefix(API).split("/", 1)[0]) if path.startswith(API) else None


def scopes_for(role: UserRole) -> dict[Scope, str]:
    """Return the scopes that are of use to a role, each with its meaning."""
    of_role = {scope_of(path) for (_, path), allowed in ACCESS.items() if role in allowed}
    return {scope: meaning for scope, meaning in MEANING.items() if scope in of_role}
