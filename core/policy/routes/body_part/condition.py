"""The route condition ``body_part = "chest"``: by Body Part Examined, else by the descriptions, else by the lungs in the image.

This module decides on text and on what was seen in the image; it looks at no image itself. `image_decides` says whether it is worth to
look, and the caller puts what was seen into the attributes under `LUNGS_IN_IMAGE`.
"""

from dataclasses import dataclass
from enum import Enum

from core.policy.routes.body_part.names import names_chest, names_other_part, normalise_text
from core.policy.routes.routing import Attributes, RouteCondition, RouteDecision

BODY_PARTS = ("chest",)
LUNGS_IN_IMAGE = "LungsInImage"  # in the attributes, with a value of LungsSeen
SEEN, NOT_SEEN = "seen", "not seen"
LungsSeen = tuple[str, str]
"""(`SEEN` or `NOT_SEEN`, what was seen in words)."""
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")


class _Named(Enum):
    CHEST = "names the chest"
    OTHER = "names another part"
    NOTHING = "names no part"


@dataclass(frozen=True, slots=True)
class ShowsBodyPart:
    """Holds if the unit shows the body part.

    1. Body Part Examined (0018,0015) names the chest: it holds.
    2. Series Description, Protocol Name and Study Description: it holds if one of them names the chest and nothing names another part
       only; it does not hold if other parts are named and the chest is not.
    3. Where they contradict each other, or name nothing: by the lungs in the image.
    """

    part: str

    def evaluate(self, attributes: Attributes) -> RouteDecision:
        """Return whether the condition holds for ``attributes``, and which of the three decided."""
        named = {keyword: _named_by(attributes, keyword) for keyword in ("BodyPartExamined", *DESCRIPTIONS)}
        chest = [keyword for keyword, part in named.items() if part is _Named.CHEST]
        other = [keyword for keyword, part in named.items() if part is _Named.OTHER]
        if chest and (chest[0] == "BodyPartExamined" or not other):
            return self._decision(True, _quoted(attributes, chest[0], _Named.CHEST))
        if other and not chest:
            return self._decision(False, _quoted(attributes, other[0], _Named.OTHER))
        if chest:
            header = f"{_quoted(attributes, chest[0], _Named.CHEST)}, {_quoted(attributes, other[0], _Named.OTHER)}"
        else:
            header = "the header names no part of the body"
        seen = attributes.get(LUNGS_IN_IMAGE)
        if not isinstance(seen, tuple) or len(seen) != 2:
            return self._decision(False, f"{header}; the image was not looked at")
        return self._decision(seen[0] == SEEN, f"{header}; by the image: {seen[1]}")

    def _decision(self, holds: bool, why: str) -> RouteDecision:
        return RouteDecision(holds, (f"{'[yes]' if holds else '[no] '} body part is {'' if holds else 'not '}the {self.part}: {why}",))


def image_decides(condition: RouteCondition, attributes: Attributes) -> bool:
    """Whether the decision of ``condition`` depends on the lungs in the image; False too where they are in ``attributes`` already."""
    if LUNGS_IN_IMAGE in attributes:
        return False
    seen, not_seen = (condition.evaluate({**attributes, LUNGS_IN_IMAGE: (answer, "")}).holds for answer in (SEEN, NOT_SEEN))
    return seen != not_seen


def _named_by(attributes: Attributes, keyword: str) -> _Named:
    text = normalise_text(_text(attributes, keyword))
    if names_chest(text):
        return _Named.CHEST
    return _Named.OTHER if names_other_part(text) else _Named.NOTHING


def _text(attributes: Attributes, keyword: str) -> str:
    value = attributes.get(keyword, "")
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _quoted(attributes: Attributes, keyword: str, named: _Named) -> str:
    return f"{keyword} '{_text(attributes, keyword)[:64].strip()}' {named.value}"
