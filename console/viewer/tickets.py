"""Tickets: proof that this session has opened the viewer on these images, so that no slice is read without an audit event.

A ticket is part of the address of every slice. It is of no use without the session's cookie, and ends with the session.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

_TICKET = re.compile(r"([0-9a-f]{32})\.(\d{1,18})\.([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What may be read.

    Attributes
    ----------
    scope
        "unit": the images of a unit. "object": a result object.
    subject_id
        Number of the unit, or of the object.
    key
        Names the content: 32 hex digits.
    related_id
        Of images: the job whose overlays may be read, 0 for none. Of an object: its unit.
    """

    subject_id: int
    key: str
    related_id: int
    scope: str = "unit"

    def sign(self, secret: bytes, session_id: int) -> str:
        """Return the ticket as text, for one session."""
        return f"{self.key}.{self.related_id}.{self._mac(secret, session_id)}"

    def _mac(self, secret: bytes, session_id: int) -> str:
        text = "\x1f".join(map(str, ("viewer", session_id, self.scope, self.subject_id, self.key, self.related_id)))
        return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def check_ticket(text: str, secret: bytes, session_id: int, subject_id: int, scope: str = "unit") -> Ticket | None:
    """Return the ticket if it was signed for this session and unit or object, else None."""
    found = _TICKET.fullmatch(text)
    if found is None:
        return None
    ticket = Ticket(subject_id, found[1], int(found[2]), scope)
    return ticket if hmac.compare_digest(ticket.sign(secret, session_id), text) else None
