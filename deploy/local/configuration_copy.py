"""The copy of the configuration that the roles of ``up`` read.

A file that is wrong or half written must not stop a role that is started again: the roles read the last version that was accepted.
"""

import hashlib
from pathlib import Path

from core.errors import ConfigurationError


class ConfigurationCopy:
    """The copy of ``source`` in ``folder``; nothing is copied where ``source`` is None."""

    def __init__(self, source: Path | None, folder: Path) -> None:
        self._source = source
        self._path = folder / "node.toml"

    def options(self) -> tuple[str, ...]:
        """Return the options that make a command read the copy."""
        return ("--config", str(self._path)) if self._source is not None else ()

    def write(self, digest: str = "") -> None:
        """Copy the file, readable only by this user because it may hold secrets.

        Raises
        ------
        ConfigurationError
            The file does not have the SHA-256 ``digest`` ("": any).
        """
        if self._source is None:
            return
        content = self._source.read_bytes()
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise ConfigurationError(f"{self._source} was changed while it was read", hint="reload again")
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        fresh.replace(self._path)

    def remove(self) -> None:
        """Delete the copy."""
        self._path.unlink(missing_ok=True)
