"""Intake of one instance: its header and its end are checked, its bytes are kept, and it is indexed. Only then is the answer Success.

Nothing here depends on pynetdicom: `handlers` makes a `ReceivedInstance` of a C-STORE, and a response of the answer.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import structlog

from core.errors import CannotUnderstand, IntakeError, OutOfResources, OwnObject, StorageError, raised_at
from core.failpoints import failpoint
from core.policy.admission import check_identity, unit_kind
from core.records import InstanceHeader
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.blob_ref import BlobRef
from db.blobs.store import Blobs
from db.blobs.temporary_file import TemporaryFile
from db.engine import Database
from db.listings.quarantine import QuarantinedItem
from db.receive import admission, own_instances, quarantine
from db.receive.admission import Admission, AdmissionResult
from db.receive.associations import close_association, open_association
from db.receive.group_commit import GroupAdmitter
from dicom_node.receive.disk_space import DiskSpace
from dicom_node.receive.headers.header_check import ReceivedInstance, read_checked_header
from dicom_node.receive.headers.header_reader import HeaderReader
from dicom_node.statuses import SUCCESS, UNEXPECTED, StoreAnswer

READMISSION_ADDRESS, READMISSION_LEASE_S = "quarantine", 60.0


class Intake:
    """Stores received instances. May be used from any thread."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings = settings
        self._limits = settings.receive
        self._database = database
        self._blobs = blobs
        self._admitter = GroupAdmitter(database)
        self._disk_space = DiskSpace(blobs)
        self.headers = HeaderReader()
        self._log = structlog.get_logger()

    def apply(self, settings: Settings) -> None:
        """Use these settings for the next instance."""
        self._settings, self._limits = settings, settings.receive

    def close(self) -> None:
        """Release the connections and processes that are kept for the next instance; a further instance opens them again."""
        self._admitter.close()
        self.headers.close()

    def store(self, received: ReceivedInstance, association_row: Callable[[], UUID]) -> StoreAnswer:
        """Keep and index one instance. Success means that its bytes are on disk (fsync) and its row is committed. Never raises.

        The caller discards the spool file, which can wait until the answer is sent.

        Parameters
        ----------
        association_row
            Returns the id of the association's row; inserts it where it does not exist yet.
        """
        try:
            return self._store(received, association_row)
        except IntakeError as error:
            self._log.warning("instance_refused", status_hex=f"{error.status:04X}", source=received.source, error=str(error))
            return StoreAnswer(error.status, str(error))
        except StorageError as error:
            self._log.error("instance_not_stored", source=received.source, error=str(error))
            return StoreAnswer(OutOfResources.status, "out of resources: try again later")
        except OSError as error:  # too many files are open, or the disk failed
            self._log.error("instance_not_stored", source=received.source, exception=type(error).__name__, at=raised_at(error))
            return StoreAnswer(OutOfResources.status, "out of resources: try again later")
        except Exception as error:  # no single instance may end the listener
            at = raised_at(error)
            self._log.error("instance_failed_unexpectedly", source=received.source, exception=type(error).__name__, at=at)
            return StoreAnswer(UNEXPECTED, f"unexpected {type(error).__name__}; see the node's log")

    def _store(self, received: ReceivedInstance, association_row: Callable[[], UUID]) -> StoreAnswer:
        spool = received.spool
        if not self._disk_space.has(self._limits.min_free_bytes + spool.size_bytes):
            raise OutOfResources("out of resources: the disk is nearly full")
        if spool.error:
            raise OutOfResources(f"out of resources: {spool.error}")
        try:
            file = spool.finish()
        except OSError as error:
            raise OutOfResources("out of resources: cannot be written") from error
        self._disk_space.subtract(spool.size_bytes)
        failpoint("receive.whole")
        try:
            header = read_checked_header(self.headers, received, file)
        except IntakeError as error:
            if error.permanent:  # else the sender tries again
                self._quarantine(received, file, error, association_row())
            raise
        self._refuse_own_object(header)
        association_id = association_row()  # before the file is linked: without a database there is nothing to keep
        self._admit(received, file, header, association_id)
        failpoint("receive.kept")
        return StoreAnswer(SUCCESS)

    def _refuse_own_object(self, header: InstanceHeader) -> None:
        """Refuse what dicom-node has made, where ``receive.own_objects`` says so."""
        if self._limits.own_objects == "refuse" and (header.made_by_dicom_node or own_instances.is_own_instance(self._database, header)):
            raise OwnObject("made by dicom-node itself: refused, as receive.own_objects says")

    def _admit(self, received: ReceivedInstance, file: TemporaryFile, header: InstanceHeader, association_id: UUID) -> None:
        blob = self._blobs.to_blob(file, received.spool.sha256)
        blob.upload()  # before the transaction, which would hold the lock of its unit all that time
        admitted = self._admitter.admit(
            header=header,
            blob=blob.ref,
            kind=unit_kind(header.sop_class_uid),
            association_id=association_id,
            source=received.source,
            sync=blob.sync,
        )
        if admitted.removed:
            again = partial(self._blobs.store_again, file.descriptor, blob.ref.sha256)
            removals.keep_received(self._database, blob.ref.sha256, again, instance_id=admitted.instance_id)
        if admitted.result is not AdmissionResult.NEW:
            self._log.info("instance_received_again", kind=str(admitted.result), source=received.source, unit=admitted.unit_id)

    def _quarantine(self, received: ReceivedInstance, file: TemporaryFile, error: IntakeError, association_id: UUID) -> None:
        blob = self._blobs.to_blob(file, received.spool.sha256).sync()
        removed = quarantine.quarantine_instance(
            self._database,
            blob=blob,
            reason=str(error),
            status=error.status,
            sop_class_uid=received.spool.identity.sop_class_uid,
            sop_instance_uid=received.spool.identity.sop_instance_uid,
            association_id=association_id,
            source=received.source,
            max_bytes=self._limits.quarantine_max_bytes,
        )
        if blob.sha256 not in removed and removals.find_requested(self._database, [blob.sha256]):
            removals.keep_received(self._database, blob.sha256, partial(self._blobs.store_again, file.descriptor, blob.sha256))
        if removed and self._blobs.removes:  # else `dicom-node retention run` does it on the node that holds them
            try:
                removals.remove_blobs(self._database, self._blobs, only=removed)
            except StorageError as error:  # the requests remain, and the answer is that of this instance
                self._log.warning("quarantine_not_emptied", error=str(error))

    def readmit(self, quarantine_id: int, *, actor: str) -> Admission:
        """Check a quarantined data set again, and index it under the name of its source. It leaves the quarantine once it is indexed.

        Raises
        ------
        IntakeError
            It is refused again, with the reason, and stays in the quarantine.
        ConfigurationError
            There is no such data set.
        """
        item = quarantine.get_quarantined(self._database, quarantine_id)
        missing = CannotUnderstand("its bytes are missing", hint="restore the blob from a backup")
        if not self._blobs.has(item.sha256):
            raise missing
        try:
            with self._blobs.fetch(item.sha256).open("rb") as content:  # its bytes stay readable where its file is removed
                return self._readmit(item, content.fileno(), actor=actor)
        except FileNotFoundError as error:
            raise missing from error

    def _readmit(self, item: QuarantinedItem, descriptor: int, *, actor: str) -> Admission:
        header = self.headers.read(self._blobs.fetch(item.sha256))
        check_identity(
            sop_class_uid=item.sop_class_uid, sop_instance_uid=item.sop_instance_uid, abstract_syntax=item.sop_class_uid, header=header
        )
        self._refuse_own_object(header)
        association_id = uuid4()  # a row of its own: completion waits until it is closed, as for a received instance
        open_association(
            self._database,
            id=association_id,
            calling_ae=item.source,
            called_ae=self._settings.node.ae_title,
            address=READMISSION_ADDRESS,
            listener=actor,
            lease_s=READMISSION_LEASE_S,
        )
        try:
            admitted = admission.admit_instance(
                self._database,
                header=header,
                blob=BlobRef(item.sha256, item.size_bytes),
                kind=unit_kind(header.sop_class_uid),
                association_id=association_id,
                source=item.source,
            )
            if admitted.removed:
                again = partial(self._blobs.store_again, descriptor, item.sha256)
                removals.keep_received(self._database, item.sha256, again, instance_id=admitted.instance_id)
            quarantine.remove_admitted(self._database, item.id, actor=actor, instance_id=admitted.instance_id)
        finally:
            close_association(self._database, association_id, "released")
        return admitted
