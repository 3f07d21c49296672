"""The index of what this installation made: whether an instance that came in is one of its results."""

from sqlalchemy import text

from core.policy.own_objects import RESULT_CLASSES
from core.records import InstanceHeader
from db.engine import Database

_MADE = text("SELECT EXISTS (SELECT FROM reports WHERE sop_instance_uid = :sop_instance_uid)")


def made_here(database: Database, header: InstanceHeader) -> bool:
    """By its SOP Instance UID; asked only for the classes that results are of.

    Raises
    ------
    StorageError
        The database is out of reach.
    """
    if header.sop_class_uid not in RESULT_CLASSES:
        return False
    with database.begin() as connection:
        return bool(connection.execute(_MADE, {"sop_instance_uid": header.sop_instance_uid}).scalar_one())
