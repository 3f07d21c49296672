"""UIDs and keys that come out the same on every retry (PS3.5 B.2: 2.25 + a UUID as an integer)."""

import hashlib
import uuid
from collections.abc import Iterable
from uuid import UUID

# The root of the node's fixed UIDs. 2.25.<UUIDv5(DNS, "dicom-node")>: fixed for ever, written into every file meta.
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'implementation.dicom-node').int}"


def job_key(unit: str, content_hashes: Iterable[str], pipeline_digest: str, run: int = 1) -> str:
    """sha256 over the unit, its instances' content hashes (in any order) and the pipeline digest.

    A deliberate re-run of the same input has the next ``run`` number and so a key of its own.
    """
    text = "\n".join([unit, *sorted(content_hashes), pipeline_digest, str(run)])
    return hashlib.sha256(text.encode()).hexdigest()


def result_uid(installation: UUID, key: str, revision: int, run: int, kind: str, profile: str) -> str:
    """The UID of a result object, series or tracked item: the same on retry, another for every other argument."""
    name = "\x1f".join([key, str(revision), str(run), kind, profile])
    return f"2.25.{uuid.uuid5(installation, name).int}"


def device_uid(installation: UUID, model_digest: str) -> str:
    """The Device UID (TID 1004) of a model on this installation: changes with the model."""
    return f"2.25.{uuid.uuid5(installation, chr(31).join(['device', model_digest])).int}"
