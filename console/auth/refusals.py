"""Replies to refused requests: sign-in page, access denied, not found. Pages for people, JSON for programs under ``/api/``."""

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.auth.guard import AccessDenied, SignInNeeded
from console.auth.replies import page, redirect
from core.errors import StorageError


def _for_programs(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def add_refusals(application: FastAPI, templates: Jinja2Templates) -> None:
    """Register the handlers."""

    @application.exception_handler(SignInNeeded)
    async def sign_in_needed(request: Request, error: SignInNeeded) -> Response:
        """Send people to the sign-in page; answer programs with 401."""
        if _for_programs(request):
            return JSONResponse({"detail": "sign in, or send an API token"}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return redirect("/sign-in" if error.next == "/" else f"/sign-in?next={error.next}")

    @application.exception_handler(AccessDenied)
    async def access_denied(request: Request, error: AccessDenied) -> Response:
        """Say why the request is refused."""
        if _for_programs(request):
            return JSONResponse({"detail": str(error)}, status_code=403)
        return page(templates, request, "message.html", status_code=403, heading="Not allowed", message=f"{str(error).capitalize()}.")

    @application.exception_handler(StorageError)
    async def unavailable(request: Request, error: StorageError) -> Response:
        """Say that the database does not respond; the page needs it."""
        if _for_programs(request):
            return JSONResponse({"detail": "the database does not respond"}, status_code=503)
        request.state.session = None
        text = {"heading": "Not available", "message": "The database does not respond. The status page says more; try again in a moment."}
        return page(templates, request, "message.html", status_code=503, **text)

    @application.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """Show a page for 404 and 405; answer programs and everything else as FastAPI does."""
        if _for_programs(request) or request.method not in ("GET", "POST") or error.status_code not in (404, 405):
            return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)
        return page(
            templates, request, "message.html", status_code=error.status_code, heading="Not found", message="There is no page here."
        )
