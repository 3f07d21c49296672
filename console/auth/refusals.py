"""Replies to refused requests: sign-in page, access denied, not found. Pages for people, problem details for programs under ``/api/``."""

from contextlib import suppress

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from console.api.replies.problems import InvalidPart, problem
from console.auth.bearer import ScopeMissing, TokenRefused
from console.auth.guard import ACTIVITY_HEADER, FORM_TOKEN_HEADER, AccessDenied, Accounts, SignInNeeded, browser_session
from console.auth.replies import page, redirect
from console.formats import format_error, format_moment, format_sentence
from console.server.security_headers import added_headers
from core.clock import system_clock
from core.errors import StorageError

NOT_FOUND = {
    "heading": "Not found",
    "message": "There is no page here.",
    "hint": "The address may be incomplete, or retention has deleted what was here.",
}
HEADINGS = {
    409: "Not possible now",
    410: "No longer there",
    413: "Too large",
    422: "This request cannot be used",
    429: "Too many requests",
    503: "Not possible now",
}
HINTS = {413: "Send fewer or smaller files at once. Images, also whole archives, are sent on Upload."}
FAILED = {
    "heading": "The console failed",
    "message": "An error that the console does not know ended this request.",
    "hint": "Try again. If it fails again, give the operator this time: {at}. The log of the console has the details.",
    "link": "/status",
    "link_text": "Status of the node",
}


def _for_programs(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _from_script(request: Request) -> bool:
    """Whether a script of a page made the request: it would take the page of sign-in for its answer, or show it inside of its own page.

    Browsers say so only over HTTPS; headers of the scripts say so always. htmx then loads the page again (``HX-Refresh``).
    """
    headers, own = request.headers, ("hx-request", "x-fragment", FORM_TOKEN_HEADER, ACTIVITY_HEADER)
    return headers.get("sec-fetch-dest") == "empty" or any(name in headers for name in own)


def _opened_by_a_person(request: Request) -> bool:
    """Whether a browser opens the answer as a page: it then asks for HTML (`console.auth.guard.is_of_a_person`)."""
    return "text/html" in request.headers.get("accept", "") and not _from_script(request)


def add_refusals(application: FastAPI, templates: Jinja2Templates, accounts: Accounts) -> None:
    """Register the handlers."""

    @application.exception_handler(SignInNeeded)
    async def sign_in_needed(request: Request, error: SignInNeeded) -> Response:
        """Send people to the sign-in page; answer programs and the scripts of pages with 401."""
        if _for_programs(request):
            return problem(401, "sign in, or send an API token", headers={"WWW-Authenticate": "Bearer"})
        if _from_script(request):
            return PlainTextResponse("The session has ended.", status_code=401, headers={"HX-Refresh": "true"})
        asked = [] if error.next == "/" else [f"next={error.next}"]
        if request.state.session is None and accounts.cookie in request.cookies:  # not where only the second factor is missing
            asked.append("notice=ended")
        query = "&".join(asked)
        return redirect(f"/sign-in?{query}" if query else "/sign-in")

    @application.exception_handler(TokenRefused)
    async def token_refused(request: Request, error: TokenRefused) -> Response:
        """Answer as RFC 6750 3.1 says."""
        return problem(401, str(error), headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    @application.exception_handler(ScopeMissing)
    async def scope_missing(request: Request, error: ScopeMissing) -> Response:
        """Answer as RFC 6750 3.1 says."""
        return problem(403, str(error), headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'})

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        """Say which part of the request is wrong, without repeating its value. A wrong number in a path is a page that does not exist."""
        parts = [InvalidPart(where=".".join(str(part) for part in found["loc"]), message=str(found["msg"])) for found in error.errors()]
        if _for_programs(request):
            return problem(422, "the request does not fit the description of the API", errors=parts)
        if any(part.where.startswith("path.") for part in parts):
            return page(templates, request, "message.html", status_code=404, **NOT_FOUND)
        text = "; ".join(f"{part.where.rpartition('.')[2]}: {part.message}" for part in parts)
        return page(templates, request, "message.html", status_code=422, heading="This request cannot be used", message=text)

    @application.exception_handler(AccessDenied)
    async def access_denied(request: Request, error: AccessDenied) -> Response:
        """Say why the request is refused."""
        if _for_programs(request):
            return problem(403, str(error))
        hint = "An administrator sets the roles of users." if error.of_role else ""
        text = {"heading": "Not allowed", "message": format_error(error), "hint": hint}
        return page(templates, request, "message.html", status_code=403, **text)

    @application.exception_handler(StorageError)
    async def unavailable(request: Request, error: StorageError) -> Response:
        """Say that the database does not respond; the page needs it."""
        if _for_programs(request):
            return problem(503, "the database does not respond")
        request.state.session = None
        text = {"heading": "Not available", "message": "The database does not respond. Try again in a moment."}
        return page(templates, request, "message.html", status_code=503, **text, link="/status", link_text="Status of the node")

    @application.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        """Send no answer: the client closed the connection, or was too slow, before its request was complete."""
        return Response(status_code=400)

    @application.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """Show a page for 404 and 405, and for every refusal where a person opens a page; answer programs and scripts as FastAPI does."""
        if _for_programs(request):
            return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        unknown = error.status_code in (404, 405)
        if request.method not in ("GET", "POST") or not (unknown or _opened_by_a_person(request)):
            return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)
        if not hasattr(request.state, "session"):  # no route, so that the guard has not looked
            with suppress(StorageError):
                request.state.session = await browser_session(accounts, request)
        message, hint = f"{format_sentence(str(error.detail)).rstrip('.')}.", HINTS.get(error.status_code, "")
        text = {"heading": HEADINGS.get(error.status_code, "Not possible"), "message": message, "hint": hint}
        reply = page(templates, request, "message.html", status_code=error.status_code, **(NOT_FOUND if unknown else text))
        reply.headers.update(error.headers or {})
        return reply

    @application.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        """Say that the console failed; the error goes into the log. Starlette answers outside of the middleware that adds the headers."""
        if _for_programs(request):
            reply: Response = problem(500, "the console failed; its log has the details")
        else:
            hint = FAILED["hint"].format(at=format_moment(system_clock()))
            reply = page(templates, request, "message.html", status_code=500, **FAILED | {"hint": hint})
        reply.headers.update(added_headers(secure=accounts.secure))
        return reply
