"""What happens to one received instance: read, checked, kept, admitted, and the status that says so.

No pynetdicom here: `handlers` turns an event into `Received` and the answer into a response.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from core.errors import CannotUnderstand, IntakeError, OutOfResources, OwnObject, StorageError
from core.failpoints import step
from core.policy.admission import check_identity, unit_kind
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.blobs.temporary_file import Temporary
from db.engine import Database
from db.receive import admission as receive_admission
from db.receive import own_instances
from db.receive.group_commit import Admitter
from db.records import Admitted as AdmittedAs
from db.records import BlobRef
from dicom_node.receive.disk_space import Room
from dicom_node.receive.spool import Spool
from dicom_node.statuses import INVALID_INSTANCE, SUCCESS, UNEXPECTED, Answer
from imaging.headers.instance_header import read_header

MAX_UID_CHARS = 64  # PS3.5 9.1


@dataclass(frozen=True, slots=True)
class Received:
    """One C-STORE: its bytes as a Part 10 file in the making, with what its command says, and where it came from."""

    abstract_syntax: str
    source: str  # calling AE title
    spool: Spool


class Intake:
    """Takes instances, from any thread."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._limits = settings.receive
        self._database = database
        self._blobs = blobs
        self._admitter = Admitter(database)
        self._room = Room(blobs)
        self._log = structlog.get_logger()

    def close(self) -> None:
        """Give back what is held for the next instance; it is taken again where one comes."""
        self._admitter.close()

    def take(self, received: Received, association: Callable[[], UUID]) -> Answer:
        """Success only once the bytes are fsynced and the row is committed; never raises.

        Parameters
        ----------
        association
            Gives the id of the association's row, and makes the row if there is none yet.
        """
        try:
            return self._take(received, association)
        except IntakeError as error:
            self._log.warning("instance refused", status_hex=f"{error.status:04X}", source=received.source, error=str(error))
            return Answer(error.status, str(error))
        except StorageError as error:
            self._log.error("instance refused: storage", source=received.source, error=str(error), hint=error.hint)
            return Answer(OutOfResources.status, "out of resources: try again later")
        except Exception as error:  # nothing that one instance does may end the listener
            self._log.error("instance refused: unexpected", source=received.source, exception=type(error).__name__, at=_where(error))
            return Answer(UNEXPECTED, f"unexpected {type(error).__name__}; see the node's log")
        finally:
            received.spool.discard()

    def _take(self, received: Received, association: Callable[[], UUID]) -> Answer:
        if not self._room.holds(self._limits.min_free_bytes + received.spool.size_bytes):
            raise OutOfResources("out of resources: the disk is nearly full")
        if received.spool.error:
            raise OutOfResources(f"out of resources: {received.spool.error}")
        try:
            file = received.spool.finish()
        except OSError as error:
            raise OutOfResources("out of resources: cannot be written") from error
        self._room.taken(received.spool.size_bytes)
        step("receive.whole")
        try:
            return self._judge(received, file, association)
        finally:
            file.discard()

    def _judge(self, received: Received, file: Temporary, association: Callable[[], UUID]) -> Answer:
        try:
            if len(received.spool.command.sop_instance_uid) > MAX_UID_CHARS:
                raise CannotUnderstand("the SOP instance UID of the command is too long", status=INVALID_INSTANCE)
            if not received.spool.size_bytes:
                raise CannotUnderstand("the C-STORE came without a data set")
            header = read_header(Path(file.path), beginning=received.spool.beginning, size_bytes=file.size_bytes)
            check_identity(
                sop_class_uid=received.spool.command.sop_class_uid,
                sop_instance_uid=received.spool.command.sop_instance_uid,
                abstract_syntax=received.abstract_syntax,
                header=header,
            )
        except IntakeError as error:
            association_id = association()
            self._quarantine(received, self._blobs.adopt(file, received.spool.sha256), error, association_id)
            raise
        if self._limits.own_objects == "refuse" and (header.made_by_dicom_node or own_instances.made_here(self._database, header)):
            raise OwnObject("made by dicom-node itself: refused, as receive.own_objects says")
        association_id = association()  # first: without a database nothing needs to be written
        with self._blobs.name(file, received.spool.sha256) as named:
            admission = self._admitter.admit(
                header=header,
                blob=named.ref,
                kind=unit_kind(header.sop_class_uid),
                association_id=association_id,
                source=received.source,
                sync=named.sync,
            )
        if admission.let_go and not removals.came_again(self._database, self._blobs, admission.instance_id, named.ref.sha256):
            raise OutOfResources("out of resources: its bytes were just let go, send it again")
        if admission.result is not AdmittedAs.NEW:
            self._log.info("instance came again", kind=str(admission.result), source=received.source, unit=admission.unit_id)
        step("receive.kept")
        return Answer(SUCCESS)

    def _quarantine(self, received: Received, blob: BlobRef, error: IntakeError, association_id: UUID) -> None:
        dropped = receive_admission.quarantine(
            self._database,
            blob=blob,
            reason=str(error),
            status=error.status,
            sop_class_uid=received.spool.command.sop_class_uid,
            sop_instance_uid=received.spool.command.sop_instance_uid,
            association_id=association_id,
            source=received.source,
            max_bytes=self._limits.quarantine_max_bytes,
        )
        for sha256 in dropped:
            self._blobs.remove(sha256)


def _where(error: BaseException) -> str:
    """File and line of an unexpected error: enough to find it, without the values in its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
