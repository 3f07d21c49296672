"""UIDs and keys that are derived, so that they are the same on every retry (PS3.5 B.2: 2.25 and a UUID as an integer)."""

import hashlib
import uuid
from collections.abc import Iterable
from uuid import UUID

# 2.25.<UUIDv5(DNS, "implementation.dicom-node")>. It never changes: it is written into the file meta information of every object.
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'implementation.dicom-node').int}"
IMPLEMENTATION_VERSION_NAME = "DICOMNODE_010"  # (0002,0013), at most 16 characters: the node's version 0.1.0


def job_key(unit: str, content_hashes: Iterable[str], pipeline_digest: str, run: int = 1) -> str:
    """Return the SHA-256 of the unit, the content hashes of its instances (in any order), the pipeline digest and the run number.

    A deliberate repetition of the same analysis has the next run number, and so another key.
    """
    text = "\n".join([unit, *sorted(content_hashes), pipeline_digest, str(run)])
    return hashlib.sha256(text.encode()).hexdigest()


def result_uid(installation: UUID, key: str, revision: int, run: int, kind: str, profile: str) -> str:
    """Return the UID of a result object, of its series, or of a tracked finding. It differs if any argument differs."""
    name = "\x1f".join([key, str(revision), str(run), kind, profile])
    return f"2.25.{uuid.uuid5(installation, name).int}"


def device_uid(installation: UUID, model_digest: str) -> str:
    """Return the Device UID (TID 1004) of a model on this installation. It changes with the model."""
    return f"2.25.{uuid.uuid5(installation, chr(31).join(['device', model_digest])).int}"
