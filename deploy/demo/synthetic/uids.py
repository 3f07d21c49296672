"""UIDs of synthetic instances: 2.25 and a UUIDv5 of seed and name, the same on every run."""

from uuid import NAMESPACE_OID, uuid5

_NAMESPACE = uuid5(NAMESPACE_OID, "synthetic.dicom-node")


def synthetic_uid(*parts: object) -> str:
    """Return a UID derived from the parts, for example ``synthetic_uid(seed, "series")``."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(str(part) for part in parts)).int}"
