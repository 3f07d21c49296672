"""The routers of the API, and its description."""

from fastapi import FastAPI

from console.api import audit, dashboard, operations, studies, users
from console.api.description import describe
from console.auth.guard import Accounts
from core.settings.settings import Settings
from db.blobs.reader import BlobReader


def add_api(application: FastAPI, accounts: Accounts, settings: Settings, blobs: BlobReader) -> None:
    """Add every route under /api/v1 that needs sign-in, and the OpenAPI document."""
    for module in (operations, audit, dashboard, users):
        application.include_router(module.build_router(accounts))
    application.include_router(studies.build_router(accounts, blobs))
    application.openapi = lambda: describe(application)  # type: ignore[method-assign]
