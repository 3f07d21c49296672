"""UIDs and keys that are derived, so that they are the same on every retry (PS3.5 B.2: 2.25 and a UUID as an integer)."""

import hashlib
import re
import uuid
from collections.abc import Iterable
from uuid import UUID

# 2.25.<UUIDv5(DNS, "implementation.dicom-node")>. It never changes: it is written into the file meta information of every object.
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'implementation.dicom-node').int}"
IMPLEMENTATION_VERSION_NAME = "DICOMNODE_010"  # (0002,0013), at most 16 characters: the node's version 0.1.0


_DIGITS_AND_DOTS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_MAX_CHARS = 64  # PS3.5 9.1


def may_be_referred_to(uid: str) -> bool:
    """Return whether a result may name a UID that a source has given: as PS3.5 9.1 says, but components may begin with zeros.

    Some devices write them so, and archives keep the images under these UIDs: a result with another one would belong to no study.
    """
    return len(uid) <= _MAX_CHARS and _DIGITS_AND_DOTS.fullmatch(uid) is not None


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
