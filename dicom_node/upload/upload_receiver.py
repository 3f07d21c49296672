"""The part of the role ``listen`` that takes uploaded files: claims one, has it read and stored, and writes what became of it."""

import threading
import time
from collections.abc import Callable
from typing import Self
from uuid import UUID

import structlog

from core.errors import LeaseLost, NodeError, OutOfResources
from core.policy.admission import CONSOLE_SOURCE, CallerRights
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.notify import ChannelListener
from db.roles.process_name import process_name
from db.roles.supervised_loop import SupervisedLoop
from db.uploads import upload_claims
from db.uploads.upload_records import ClaimedFile, FileResult
from dicom_node.receive.intake import Intake
from dicom_node.receive.leases import AssociationLeases
from dicom_node.upload.converter import Converter
from dicom_node.upload.part10_intake import Part10Intake
from dicom_node.upload.uploaded_file import UploadedFileReader

LEASE_S = 240.0  # longer than the converter may take for one request
POLL_S = 2.0
RETRY_S = 10.0
CLEAN_INTERVAL_S = 300.0
IDLE_UPLOAD_S = 60.0  # an upload on which nothing comes no longer counts as an open association


class UploadReceiver:
    """Takes uploaded files in a thread of its own, from `start` to `stop`.

    An upload is recorded as one association, whose end lets a whole series be complete at once; `AssociationLeases` keeps its row.

    Parameters
    ----------
    pause_reason
        Returns why receiving is paused; "" while it is not. Uploads wait as long.
    converter
        Opens photographs and archives. Default: one of its own, whose child process ends when no upload has come for a minute.
    """

    def __init__(
        self, settings: Settings, database: Database, blobs: Blobs, pause_reason: Callable[[], str], converter: Converter | None = None
    ) -> None:
        self._settings = settings
        self._database = database
        self._pause_reason = pause_reason
        self._folder = settings.uploads_dir
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._intake = Intake(settings, database, blobs)
        self._part10 = Part10Intake(database, blobs, self._intake, max_instance_bytes=settings.receive.max_instance_bytes)
        self._own_converter, self._taken_at = converter is None, 0.0
        self._converter = converter or Converter()
        self._leases = AssociationLeases(database, listener=process_name(), lease_s=settings.receive.association_lease_s)
        self._open: dict[int, float] = {}  # upload -> time of its last file
        self._cleaned_at = float("-inf")
        self._channel = ChannelListener(database, "uploads")
        self._stop = threading.Event()
        self._loop = SupervisedLoop("uploads", self.step, self._stop, wait=self._wait)
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Begin to take files."""
        self._loop.start()

    def stop(self) -> None:
        """Take no further file. One that is being read is read again later."""
        self._stop.set()
        self._loop.join(10.0)
        for upload_id in list(self._open):
            self._end(upload_id)
        self._leases.stop(5.0)
        if self._own_converter:
            self._converter.close()
        self._intake.close()
        self._channel.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, seconds: float) -> None:
        """Wait for a file, in steps short enough to notice the end of the role."""
        deadline = time.monotonic() + seconds
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._channel.wait(min(left, 0.5)):
                return

    def step(self) -> float:
        """Take one file; return the seconds until the next call."""
        if time.monotonic() - self._cleaned_at > CLEAN_INTERVAL_S:
            self.clean()
        self._end_idle()
        if self._pause_reason():
            return POLL_S
        file = upload_claims.claim_file(self._database, lease_s=LEASE_S)
        if file is None:
            if self._own_converter and time.monotonic() - self._taken_at > IDLE_UPLOAD_S:
                self._converter.close()
            return POLL_S
        self._take(file)
        self._taken_at = time.monotonic()
        if not upload_claims.has_open_files(self._database, file.upload_id):
            self._end(file.upload_id)
        return 0.0

    def _take(self, file: ClaimedFile) -> None:
        path = self._folder / str(file.id)
        if file.attempt > upload_claims.MOST_ATTEMPTS:
            result = FileResult(0, 0, (), message=f"the node failed {upload_claims.MOST_ATTEMPTS} times while it read this file")
        else:
            reader = UploadedFileReader(self._settings, self._database.installation_id(), self._part10, self._converter)
            try:
                result = reader.read(file, path, lambda: self._association(file.upload_id), lambda: self._renew(file))
            except OutOfResources as error:
                self._log.warning("upload_postponed", error=str(error), seconds=RETRY_S)
                upload_claims.release_file(self._database, file, pause_s=RETRY_S, message=str(error))
                return
            except LeaseLost:
                return
        if not upload_claims.finish_file(self._database, file, result):
            return  # another listener reads the file
        path.unlink(missing_ok=True)
        self._log.info("upload_taken", count=result.instances, bytes=file.size_bytes, state="done" if result.instances else "refused")

    def _renew(self, file: ClaimedFile) -> None:
        if self._stop.is_set() or not upload_claims.renew_claim(self._database, file, lease_s=LEASE_S):
            raise LeaseLost("another listener reads this upload, or this one is stopping")

    def _association(self, upload_id: int) -> UUID:
        """Return the id of the association row of an upload, which is inserted before its first instance."""
        admitted = self._leases.find(upload_id)
        if admitted is None:
            admitted = self._leases.admit(
                upload_id,
                calling_ae=CONSOLE_SOURCE,
                called_ae=self._settings.node.ae_title,
                address="console",
                rights=CallerRights(may_store=True, may_report=False),
            )
        self._open[upload_id] = time.monotonic()
        return self._leases.ensure_row(admitted)

    def _end(self, upload_id: int) -> None:
        if self._open.pop(upload_id, None) is not None:
            self._leases.end(upload_id, "released")

    def _end_idle(self) -> None:
        for upload_id, at in list(self._open.items()):
            if time.monotonic() - at > IDLE_UPLOAD_S:
                self._end(upload_id)

    def clean(self) -> None:
        """End uploads that did not arrive in time, delete old rows, and remove files that no row needs."""
        limits = self._settings.upload
        upload_claims.expire_uploads(self._database, incomplete_s=limits.incomplete_s, finished_s=limits.keep_s)
        present = [path for path in self._folder.iterdir() if path.name.partition(".")[0].isdigit()]
        needed = upload_claims.held_files(self._database)  # read after the folder: a row is older than its file
        for path in present:
            if int(path.name.partition(".")[0]) not in needed:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise NodeError(f"the upload folder cannot be cleaned: {error.strerror}") from error
        self._cleaned_at = time.monotonic()
