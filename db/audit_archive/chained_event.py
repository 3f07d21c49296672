"""An event with its place in the hash chain: what a row of `audit_events` and a line of an archive have in common."""

from datetime import datetime
from typing import Any, Protocol


class ChainedEvent(Protocol):
    """The attributes of an audit event that its hash covers, and its place in the chain."""

    @property
    def id(self) -> int:
        """Number of the event."""

    @property
    def at(self) -> datetime:
        """When it happened, in UTC."""

    @property
    def actor(self) -> str:
        """Who did it."""

    @property
    def action(self) -> str:
        """What was done."""

    @property
    def subject(self) -> str:
        """To what."""

    @property
    def details(self) -> dict[str, Any]:
        """Facts about it."""

    @property
    def chain_seq(self) -> int:
        """Place in the hash chain, from 1."""

    @property
    def chain_hash(self) -> str:
        """Its hash."""
