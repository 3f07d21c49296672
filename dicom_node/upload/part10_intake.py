"""A DICOM file that did not come over DICOM goes the way of a C-STORE: the same spool file, checks, rows and audit events."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from core.errors import CannotUnderstand, IntakeError, OutOfResources
from core.policy.admission import CONSOLE_SOURCE
from db.blobs.store import Blobs
from db.engine import Database
from db.uploads.upload_claims import study_of_instance
from dicom_node.receive.headers.header_check import ReceivedInstance
from dicom_node.receive.intake import Intake
from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.statuses import SUCCESS
from imaging.wire import part10

_HEAD_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TakenInstance:
    """An instance that is stored now. ``known``: it, or its UID, had been stored before."""

    study_id: int
    known: bool


class Part10Intake:
    """Stores DICOM files (PS3.10) with the listener's `Intake`."""

    def __init__(self, database: Database, blobs: Blobs, intake: Intake, *, max_instance_bytes: int) -> None:
        self._database = database
        self._blobs = blobs
        self._intake = intake
        self._max_bytes = max_instance_bytes

    def find(self, sop_instance_uid: str) -> TakenInstance | None:
        """Return an instance that is stored already; None where it is not."""
        study = study_of_instance(self._database, sop_instance_uid)
        return None if study is None else TakenInstance(study, known=True)

    def take(self, path: Path, association_row: Callable[[], UUID]) -> TakenInstance:
        """Store one file.

        Raises
        ------
        OutOfResources
            It cannot be stored now, and may be tried again.
        IntakeError
            It is not a whole DICOM file, or it is refused; the text is for the person who uploaded it.
        """
        header = self._intake.headers.read(path)
        with path.open("rb") as stream:
            try:
                offset = part10.data_set_offset(stream.read(_HEAD_BYTES))
            except (ValueError, IndexError) as error:
                raise CannotUnderstand("the DICOM file has no file meta information with a group length (PS3.10 7.1)") from error
            stream.seek(offset)
            known = self.find(header.sop_instance_uid) is not None
            identity = DataSetIdentity(header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid)
            spool = SpoolFile(self._blobs, identity, max_bytes=self._max_bytes)
            while piece := stream.read(_PIECE_BYTES):
                spool.write(piece)
        try:
            if spool.size_bytes > self._max_bytes:
                raise CannotUnderstand(f"the DICOM file has more than {self._max_bytes >> 20} MB (receive.max_instance_bytes)")
            received = ReceivedInstance(abstract_syntax=header.sop_class_uid, source=CONSOLE_SOURCE, spool=spool)
            answer = self._intake.store(received, association_row)
        finally:
            spool.discard()
        if answer.status != SUCCESS:
            refusal = OutOfResources if answer.status == OutOfResources.status else IntakeError
            raise refusal(answer.comment, status=answer.status)
        taken = self.find(header.sop_instance_uid)
        if taken is None:
            raise OutOfResources("the instance was stored and then removed; it is stored again")
        return TakenInstance(taken.study_id, known)
