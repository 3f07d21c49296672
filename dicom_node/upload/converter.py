"""The parent's side of the child process that opens uploads."""

from typing import Any, Self

from core.errors import CannotUnderstand, OutOfResources
from dicom_node.line_process.parent import LineProcess

TIMEOUT_S = 180.0  # wall time of one request, on a busy machine


def not_now(words: str) -> OutOfResources:
    """Return the error for an upload that cannot be read or unpacked now; ``words``: what the system said."""
    return OutOfResources(f"the upload cannot be read or unpacked now: {words}", hint="see the disk of upload.folder; it is tried again")


class Converter:
    """Sends requests to one child process. Not for several threads at once."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._process = LineProcess("dicom_node.upload.conversion_process", timeout_s=timeout_s)

    def request(self, do: str, **values: Any) -> dict[str, Any]:
        """Have the child do one thing (`dicom_node.upload.conversions.REQUESTS`); return its answer.

        Raises
        ------
        CannotUnderstand
            The child refused the file, ended, or took too long.
        OutOfResources
            The child cannot be started, or the system does not let it read or write: the file may be tried again.
        """
        try:
            self._process.start()
        except OSError as error:  # says nothing about the file
            hint = "is memory short, or are too many processes or files open? It is tried again"
            raise OutOfResources(f"the process that opens uploads cannot be started: {error.strerror}", hint=hint) from error
        try:
            answer = self._process.ask({"do": do, **values})
        except (OSError, ValueError) as error:
            raise CannotUnderstand("the file cannot be opened within the limits of time and memory") from error
        if "unavailable" in answer:
            raise not_now(str(answer["unavailable"]))
        if "refused" in answer:
            raise CannotUnderstand(str(answer["refused"]))
        return answer

    def close(self) -> None:
        """End the child; the next request starts another one."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
