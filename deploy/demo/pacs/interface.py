"""What the demo needs of a PACS."""

from typing import Protocol

AE_TITLE = "DEMOPACS"


class Pacs(Protocol):
    """A PACS that stores instances and returns them."""

    name: str
    port: int
    answers_queries: bool

    def start(self) -> None:
        """Start it on a free port of 127.0.0.1."""

    def fetch(self, sop_instance_uid: str) -> bytes | None:
        """Return the Part 10 file as the PACS stores it; None when it does not have the instance."""

    def stop(self) -> None:
        """Stop it."""
