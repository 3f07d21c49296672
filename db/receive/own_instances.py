"""Recognises received instances that are results of this installation."""

from sqlalchemy import text

from core.policy.own_objects import RESULT_CLASSES
from core.records import InstanceHeader
from db.engine import Database

_IS_REPORT = text("SELECT EXISTS (SELECT FROM reports WHERE sop_instance_uid = :sop_instance_uid)")


def is_own_instance(database: Database, header: InstanceHeader) -> bool:
    """Return whether an instance is a result of this installation, by its SOP Instance UID.

    The database is asked only for the SOP classes that results have.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    if header.sop_class_uid not in RESULT_CLASSES:
        return False
    with database.begin() as connection:
        return bool(connection.execute(_IS_REPORT, {"sop_instance_uid": header.sop_instance_uid}).scalar_one())
