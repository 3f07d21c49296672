"""The routers of the API, and its description."""

from collections.abc import Callable

from fastapi import FastAPI

from console.api import audit, commands, configured, dashboard, operations, studies, users, verdicts, work_commands
from console.api.description import describe
from console.api.replies import job_detail
from console.auth.guard import Accounts
from core.settings.settings import Settings
from db.blobs.reader import BlobReader


def add_api(application: FastAPI, accounts: Accounts, current: Callable[[], Settings], blobs: BlobReader) -> None:
    """Add every route under /api/v1 that needs sign-in, and the OpenAPI document."""
    for module in (operations, job_detail, work_commands, commands, dashboard, users):
        application.include_router(module.build_router(accounts))
    application.include_router(audit.build_router(accounts, current()))
    application.include_router(studies.build_router(accounts, blobs))
    application.include_router(configured.build_router(accounts, current))
    application.include_router(verdicts.build_router(accounts, current().node.data_dir / "models", current))
    application.openapi = lambda: describe(application)  # type: ignore[method-assign]
