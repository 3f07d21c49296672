"""Conditions of routes as sentences, as the console and `routes list` show them."""

import re

from core.policy.routes.body_part.condition import ShowsBodyPart
from core.policy.routes.routing import AllOf, AnyOf, InRange, MatchesPattern, Not, OneOf, RouteCondition

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def condition_in_words(condition: RouteCondition) -> str:
    """Return a condition as a part of a sentence, such as ``Modality is CT and Slice Thickness is at most 5``."""
    match condition:
        case OneOf():
            values = [f"{item:g}" if isinstance(item, float) else item for item in condition.wanted]
            return f"{keyword_in_words(condition.keyword)} is {join_words(values, 'or')}"
        case InRange():
            given = [f"{word} {limit:g}" for word, limit in (("at least", condition.low), ("at most", condition.high)) if limit is not None]
            return f"{keyword_in_words(condition.keyword)} is {join_words(given, 'and')}"
        case MatchesPattern():
            return f"{keyword_in_words(condition.keyword)} contains a match of /{condition.pattern.pattern}/"
        case ShowsBodyPart():
            return f"it shows the {condition.part}"
        case AllOf():
            return join_words([_grouped(part) for part in condition.parts], "and")
        case AnyOf():
            return join_words([_grouped(part) for part in condition.parts], "or")
        case Not():
            return f"it is not so that {_grouped(condition.part)}"
    raise TypeError(f"no words for a condition of type {type(condition).__name__}")


def keyword_in_words(keyword: str) -> str:
    """Return a DICOM keyword with spaces: ``BodyPartExamined`` becomes ``Body Part Examined``."""
    return "sending AE title" if keyword == "SourceAETitle" else _WORD_START.sub(" ", keyword)


def join_words(parts: list[str], word: str) -> str:
    """Return the parts with commas between them, and ``word`` before the last."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _grouped(condition: RouteCondition) -> str:
    """Put a group of several conditions in brackets, so that "and" and "or" cannot be confused."""
    words = condition_in_words(condition)
    return f"({words})" if isinstance(condition, AllOf | AnyOf) and len(condition.parts) > 1 else words
