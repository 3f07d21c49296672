"""Numbers of the studies of listed rows, by which pages link to the study."""

from collections.abc import Iterable, Mapping
from typing import Any

from db.listings.reader import Reader

_NUMBERS = "SELECT study_instance_uid, id FROM studies WHERE study_instance_uid = ANY(CAST(%(uids)s AS text[]))"


def studies_of_rows(reader: Reader, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the number of each study that ``rows`` name by their ``study_instance_uid``."""
    uids = sorted({str(row["study_instance_uid"]) for row in rows})
    return {row["study_instance_uid"]: int(row["id"]) for row in reader.read(_NUMBERS, {"uids": uids})} if uids else {}
