"""The upload page, the pieces of files, and the page of an upload, which updates itself."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.formats import format_sentence
from console.parameters import RowId
from console.upload.body import append_body, read_body
from console.upload.body_map import body_map
from console.upload.limits import MOST_ANNOUNCEMENT_BYTES, NotNow, check_receiving, check_room, file_refusal
from console.upload.spool_file import PieceRefused, open_piece, remove_spooled, spooled_length
from console.upload.statement import Statement, in_words
from console.worklist.live_lines import SeenRows
from core.settings.settings import Settings
from db.uploads.upload_records import AnnouncedFile, Upload, UploadFile
from db.uploads.uploads import begin_upload, cancel_upload, find_file, read_upload, recent_uploads, record_piece
from db.worklist.studies import list_studies
from db.worklist.study import record_list_view
from db.worklist.study_filter import StudyFilter
from imaging.photograph.skin_regions import skin_regions

OFFSET, BYTES = "Upload-Offset", "application/octet-stream"
PIECE_BYTES = 4 << 20
RETRY_AFTER_S = "10"
MOST_DIGITS = 18  # of a number of bytes


class FileAnnouncement(BaseModel):
    """One file as the browser announces it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=1000)
    size: int = Field(ge=0, le=1 << 50)
    modified: int = Field(default=0, ge=0, le=1 << 53)


class UploadAnnouncement(BaseModel):
    """The files of an upload, and what is stated about photographs among them."""

    model_config = ConfigDict(extra="forbid")

    files: list[FileAnnouncement] = Field(min_length=1)
    statement: Statement = Statement()


def build_router(accounts: Accounts, templates: Jinja2Templates, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes of uploads."""
    routes = APIRouter(include_in_schema=False)
    database, folder, limits, seen = accounts.database, current().uploads_dir, current().upload, SeenRows()

    def file_state(file: UploadFile) -> dict[str, Any]:
        offset = spooled_length(folder, file.id) if file.state == "receiving" else file.size_bytes
        return {"id": file.id, "name": file.name, "offset": offset, "state": file.state, "message": file.message}

    @routes.get("/upload")
    def upload_page(request: Request, session: SignedIn) -> Response:
        """Show the form, and the last uploads of this person."""
        earlier = recent_uploads(database, actor=f"user:{session.user.name}", limit=5)
        return page(
            templates, request, "upload.html", figures=body_map(), regions=skin_regions(), earlier=earlier, piece_bytes=PIECE_BYTES,
            max_files=limits.max_files,
        )  # fmt: skip

    @routes.post("/upload")
    async def begin(request: Request, session: SignedIn) -> Response:
        """Begin or resume an upload; answers with the state of each file."""
        if not _is(request, "application/json"):
            return _refused(415, "an upload is announced as application/json")
        announcement = await read_body(request, MOST_ANNOUNCEMENT_BYTES)
        if announcement is None:
            return _refused(413, "the list of files is too long: upload a zip archive of them")
        try:
            asked = UploadAnnouncement.model_validate_json(announcement)
        except ValidationError as error:
            return _refused(422, in_words(error))
        if len(asked.files) > limits.max_files:
            return _refused(
                413, f"{len(asked.files)} files are too many: {limits.max_files} may be uploaded together, or a zip archive of them"
            )
        actor, address = f"user:{session.user.name}", client_address(request)
        files = [AnnouncedFile(file.name, file.size, file.modified, file_refusal(file.name, file.size, current())) for file in asked.files]

        def announce() -> Upload:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_room(database, current(), actor, files)
            return begin_upload(database, actor=actor, address=address, statement=asked.statement.values(), files=files)

        try:
            upload = await run_in_threadpool(announce)
        except NotNow as error:
            return _refused(error.status, error.message)
        return JSONResponse({"id": upload.id, "files": [file_state(file) for file in upload.files]}, status_code=201)

    @routes.get("/uploads/{upload_id}/files/{file_id}")
    def state(upload_id: RowId, file_id: RowId, session: SignedIn) -> Response:
        """Say how much of a file has arrived; asked after a lost connection."""
        found = find_file(database, upload_id, file_id, actor=f"user:{session.user.name}")
        return JSONResponse(file_state(found)) if found is not None else _refused(404, "there is no such file")

    @routes.post("/uploads/{upload_id}/files/{file_id}")
    async def receive_piece(request: Request, upload_id: RowId, file_id: RowId, session: SignedIn) -> Response:
        """Append a piece that begins where the file ends (``Upload-Offset``). It is on disk when this answers."""
        file = await run_in_threadpool(find_file, database, upload_id, file_id, actor=f"user:{session.user.name}")
        offset = request.headers.get(OFFSET, "")
        if file is None:
            return _refused(404, "there is no such file")
        if not _is(request, BYTES):
            return _refused(415, f"a piece is sent as {BYTES}")
        if file.state != "receiving":
            return JSONResponse(file_state(file), status_code=200 if file.state != "refused" else 409)
        if not (offset.isascii() and offset.isdigit() and len(offset) <= MOST_DIGITS):
            return _refused(422, f"the header {OFFSET} says where the piece begins, in bytes")
        try:
            await run_in_threadpool(check_receiving, database)
            with open_piece(folder, file.id, offset=int(offset), size_bytes=file.size_bytes) as piece:
                try:
                    await append_body(request, piece)
                finally:
                    await run_in_threadpool(piece.sync)
        except NotNow as error:
            return _refused(error.status, f"{error.message}. The upload goes on by itself")
        except PieceRefused as error:
            return JSONResponse({**file_state(file), "offset": error.offset}, status_code=423 if error.busy else 409)
        except ClientDisconnect:
            return _refused(400, "the connection broke; the rest may follow")
        except OSError:
            return _refused(503, "the disk of the node is full: tell its operator")
        await run_in_threadpool(record_piece, database, file.id, complete=piece.offset == file.size_bytes)
        return JSONResponse({**file_state(file), "offset": piece.offset, "state": "receiving"})

    @routes.post("/uploads/{upload_id}/cancel")
    def cancel(upload_id: RowId, session: SignedIn) -> Response:
        """Cancel what has not arrived; what has arrived completely is taken all the same."""
        remove_spooled(folder, cancel_upload(database, upload_id, actor=f"user:{session.user.name}"))
        return redirect(f"/uploads/{upload_id}")

    @routes.get("/uploads/{upload_id}")
    def result(request: Request, upload_id: RowId, session: SignedIn) -> Response:
        """Show what became of an upload; htmx asks for the changing part alone, of which a view is recorded where it shows a new study."""
        viewer = f"user:{session.user.name}"
        upload = read_upload(database, upload_id, actor=viewer)
        if upload is None:
            raise HTTPException(404, "there is no such upload")
        studies = list_studies(database, StudyFilter(), among=upload.studies)
        part, shown = request.headers.get("hx-request") == "true", [study.id for study in studies]
        if not (part and seen.covers(session.id, shown)):
            record_list_view(database, shown, viewer=viewer, address=client_address(request))
            seen.add(session.id, shown)
        return page(templates, request, "upload_state.html" if part else "upload_result.html", upload=upload, studies=studies)

    return routes


def _is(request: Request, content_type: str) -> bool:
    """Whether the body is of this type; a form, which the guard reads, is of another one."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == content_type


def _refused(status: int, message: str) -> Response:
    headers = {"Retry-After": RETRY_AFTER_S} if status == 503 else None
    return JSONResponse({"message": f"{format_sentence(message).rstrip('.')}."}, status_code=status, headers=headers)
