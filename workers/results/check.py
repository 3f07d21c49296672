"""Checks a result object before it is stored: the second step of ``make -> check -> keep``."""

from workers.encode.validate.validator import validate
from workers.results.make import ObjectDraft


def find_problems(draft: ObjectDraft) -> tuple[str, ...]:
    """Return what is wrong with the object, in words without patient values; empty when nothing is.

    An object with problems is stored with them, but it is held back and named by no report.
    """
    return validate(draft.encoded.content, within=draft.may_reference)
