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
    """What may be read: the images with this key, of this unit, and the overlays of this job (0: of none)."""

    unit_id: int
    key: str
    job_id: int

    def sign(self, secret: bytes, session_id: int) -> str:
        """Return the ticket as text, for one session."""
        return f"{self.key}.{self.job_id}.{self._mac(secret, session_id)}"

    def _mac(self, secret: bytes, session_id: int) -> str:
        text = f"viewer\x1f{session_id}\x1f{self.unit_id}\x1f{self.key}\x1f{self.job_id}"
        return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def check_ticket(text: str, secret: bytes, session_id: int, unit_id: int) -> Ticket | None:
    """Return the ticket if it was signed for this session and unit, else None."""
    found = _TICKET.fullmatch(text)
    if found is None:
        return None
    ticket = Ticket(unit_id, found[1], int(found[2]))
    return ticket if hmac.compare_digest(ticket.sign(secret, session_id), text) else None
