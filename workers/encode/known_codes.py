"""Which coded concepts a result object may hold: the node's own, and those that the DICOM standard publishes."""

from functools import cache, lru_cache

from pydicom.sr._concepts_dict import concepts

from core.concepts import codes
from core.records import Code

LANGUAGE_SCHEME = "RFC5646"


@lru_cache(4096)
def is_known(code: Code) -> bool:
    """Whether a code is the node's own as declared, the standard's with one of its meanings, or a language tag."""
    own = codes.find_code(code.value, code.scheme)
    if own is not None and own == code:
        return True
    return code.scheme == LANGUAGE_SCHEME or code.meaning in _published_meanings(code.scheme).get(code.value, ())


@cache
def _published_meanings(scheme: str) -> dict[str, frozenset[str]]:
    """Meanings by code value of a scheme in the DICOM content mapping resource (PS3.16)."""
    found: dict[str, set[str]] = {}
    keywords: dict[str, dict[str, tuple[str, list[int]]]] = concepts.get(scheme, {})
    for entries in keywords.values():
        for value, (meaning, _) in entries.items():
            found.setdefault(value, set()).add(meaning)
    return {value: frozenset(meanings) for value, meanings in found.items()}
