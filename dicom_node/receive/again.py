"""A data set that was refused and kept, judged again as if it came in now."""

from uuid import uuid4

from core.errors import CannotUnderstand, OutOfResources, OwnObject
from core.policy.admission import check_identity, unit_kind
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.receive import admission, own_instances, quarantine
from db.records import Admission, BlobRef
from imaging.headers.instance_header import read_header

ADDRESS = "quarantine"
LEASE_S = 60.0


def judge_again(settings: Settings, database: Database, blobs: Blobs, id: int, *, actor: str) -> Admission:
    """Take the data set, under the name of the source that sent it; it leaves the quarantine once it is indexed.

    Raises
    ------
    IntakeError
        It is refused again, with the reason; it stays where it is.
    ConfigurationError
        There is no such data set.
    """
    item = quarantine.get(database, id)
    path = blobs.path(item.sha256)
    if not path.is_file():
        raise CannotUnderstand("its bytes are missing", hint="restore the blob from a backup")
    header = read_header(path)
    check_identity(
        sop_class_uid=item.sop_class_uid, sop_instance_uid=item.sop_instance_uid, abstract_syntax=item.sop_class_uid, header=header
    )
    if settings.receive.own_objects == "refuse" and (header.made_by_dicom_node or own_instances.made_here(database, header)):
        raise OwnObject("made by dicom-node itself: refused, as receive.own_objects says")
    association = uuid4()  # of its own, so that completion waits for it and is told when it is over
    admission.open_association(
        database, id=association, calling_ae=item.source, called_ae=settings.node.ae_title, address=ADDRESS, listener=actor, lease_s=LEASE_S
    )
    try:
        blob = BlobRef(item.sha256, item.size_bytes)
        kind = unit_kind(header.sop_class_uid)
        found = admission.admit(database, header=header, blob=blob, kind=kind, association_id=association, source=item.source)
        if found.let_go and not removals.came_again(database, blobs, found.instance_id, item.sha256):
            raise OutOfResources("its bytes were just let go")
        quarantine.taken(database, id, actor=actor, instance_id=found.instance_id)
    finally:
        admission.close_association(database, association, "released")
    return found
