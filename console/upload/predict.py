"""POST /api/v1/predict: a photograph, a DICOM file or a zip archive of them as the body; the result at once, or a path to poll."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from console.api.description import API_ROUTES
from console.auth.guard import Accounts, AsViewer, Viewer
from console.parameters import RowId
from console.upload.analysis import AnalysisResponse, analysis_response
from console.upload.body import append_body
from console.upload.limits import NotNow, check_room, file_refusal
from console.upload.spool_file import PieceRefused, open_piece, remove_spooled
from console.upload.statement import Statement, in_words
from core.settings.settings import Settings
from db.uploads.upload_records import AnnouncedFile, Upload
from db.uploads.uploads import begin_upload, cancel_upload, read_upload, record_piece
from db.worklist.studies import list_studies
from db.worklist.study import read_study
from db.worklist.study_filter import StudyFilter
from imaging.photograph.skin_regions import region_keys

CHECK_INTERVAL_S = 0.5
LONGEST_WAIT_S = 60.0
NAMES = {
    "image/jpeg": "photograph.jpg",
    "image/png": "photograph.png",
    "image/tiff": "photograph.tiff",
    "application/zip": "archive.zip",
    "application/dicom": "image.dcm",
    "application/octet-stream": "file",
}
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys(NAMES, _BINARY)}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"model": AnalysisResponse, "description": "Not finished: poll `url`, which is also in the header Location"},
    411: {"description": "The header Content-Length is missing"},
    415: {"description": "The media type is none of those listed"},
}

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the result.")]
Text64 = Annotated[str, Query(max_length=64)]
Region = Annotated[str, Query(description="A region of the body map.", json_schema_extra={"enum": ["", *region_keys()]})]


def build_router(accounts: Accounts, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes of predict."""
    routes = APIRouter(prefix="/api/v1/predict", tags=["predict"], **API_ROUTES)
    database, folder = accounts.database, current().uploads_dir

    def standing(upload_id: int, viewer: Viewer) -> tuple[Upload, bool]:
        """Return the upload, and whether no further result is expected."""
        upload = read_upload(database, upload_id, actor=viewer.actor)
        if upload is None:
            raise HTTPException(404, f"there is no prediction {upload_id} of yours")
        studies = list_studies(database, StudyFilter(), among=upload.studies)
        return upload, upload.finished_at is not None and not any(study.under_way for study in studies)

    def read(upload: Upload, viewer: Viewer, final: bool) -> AnalysisResponse:
        """Return the answer; reading a study is an audit event."""
        found = [read_study(database, study, viewer=viewer.actor, address=viewer.address) for study in upload.studies]
        return analysis_response(upload, [study for study in found if study is not None], final=final)

    async def answer(upload_id: int, viewer: Viewer, wait: float, response: Response) -> AnalysisResponse:
        until = time.monotonic() + wait
        upload, final = await run_in_threadpool(standing, upload_id, viewer)
        while not final and time.monotonic() < until:
            await asyncio.sleep(CHECK_INTERVAL_S)
            upload, final = await run_in_threadpool(standing, upload_id, viewer)
        if not final:
            response.status_code = 202
            response.headers["Location"] = f"/api/v1/predict/{upload_id}"
        return await run_in_threadpool(read, upload, viewer, final)

    @routes.post("", summary="Analyse a photograph, a DICOM file or a zip archive", responses=_RESPONSES, openapi_extra=_BODY)
    async def predict(
        request: Request, response: Response, viewer: AsViewer, wait: Wait = 0.0, kind: Literal["dermoscopy", "vl"] = "dermoscopy",
        region: Region = "", patient_id: Text64 = "", family_name: Text64 = "", given_name: Text64 = "",
        birth_date: Annotated[str, Query(description="YYYY-MM-DD")] = "", sex: Literal["", "F", "M", "O"] = "",
        accession_number: Annotated[str, Query(max_length=16)] = "",
        taken_on: Annotated[str, Query(description="YYYY-MM-DD; default: today")] = "",
    ) -> AnalysisResponse:  # fmt: skip
        """Store the body as an upload of the console, and analyse it by the routes of the node.

        The parameters beside `wait` are for photographs; DICOM files say these things themselves. `region` is a key of the body map, for
        example `cheek-L`. The same body with the same parameters is stored and analysed once.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        length = request.headers.get("content-length", "")
        if content_type not in NAMES:
            raise HTTPException(415, f"the body is one of {', '.join(NAMES)}")
        if not length.isdigit():
            raise HTTPException(411, "the header Content-Length says how many bytes the body has")
        given = {
            "kind": kind, "region": region, "patient_id": patient_id, "family_name": family_name, "given_name": given_name,
            "birth_date": birth_date, "sex": sex, "accession_number": accession_number, "taken_on": taken_on,
        }  # fmt: skip
        try:
            statement = Statement.model_validate(given)
        except ValidationError as error:
            raise HTTPException(422, in_words(error)) from error
        file = AnnouncedFile(NAMES[content_type], int(length))
        refusal = file_refusal(file.name, file.size_bytes, current())
        if refusal:
            raise HTTPException(413 if file.size_bytes else 422, refusal)

        def begin() -> Upload:
            folder.mkdir(parents=True, exist_ok=True)
            check_room(database, current(), viewer.actor, [file])
            values = statement.values()
            return begin_upload(database, actor=viewer.actor, address=viewer.address, statement=values, files=[file], resume=False)

        try:
            upload = await run_in_threadpool(begin)
        except NotNow as error:
            raise HTTPException(error.status, error.message, headers={"Retry-After": "10"}) from error
        await _receive(request, upload)
        return await answer(upload.id, viewer, wait, response)

    async def _receive(request: Request, upload: Upload) -> None:
        (row,) = upload.files
        try:
            with open_piece(folder, row.id, offset=0, size_bytes=row.size_bytes) as piece:
                await append_body(request, piece)
                await run_in_threadpool(piece.sync)
            if piece.offset != row.size_bytes:
                raise PieceRefused(piece.offset)
        except (ClientDisconnect, PieceRefused, OSError) as error:
            remove_spooled(folder, await run_in_threadpool(cancel_upload, database, upload.id, actor=upload.actor))
            if isinstance(error, OSError):
                raise HTTPException(503, "the disk of the node is full: tell its operator") from error
            raise HTTPException(422, "the body is not as long as Content-Length says") from error
        await run_in_threadpool(record_piece, database, row.id, complete=True)

    @routes.get("/{upload_id}", summary="Where an analysis stands, and its result", responses={202: _RESPONSES[202]})
    async def poll(upload_id: RowId, response: Response, viewer: AsViewer, wait: Wait = 0.0) -> AnalysisResponse:
        """Return the result, or 202 while a further result is expected."""
        return await answer(upload_id, viewer, wait, response)

    return routes
