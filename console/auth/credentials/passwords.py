"""Passwords as argon2id hashes, with the parameters of RFC 9106 (second recommended option: 64 MiB, 3 passes)."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from core.counted import counted
from core.errors import ConfigurationError

SHORTEST = 12  # NIST SP 800-63B asks for 8 with a second factor, 15 without; length matters more than kinds of characters
LONGEST = 200

_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
# Compared with the typed password where the name is unknown, so that the reply takes as long as for a known name and does not show
# which names exist. It was made once, with the parameters above, from a random password that was not kept: making it takes 0.3 s.
_OF_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$33maV8lSu6nZ4TNDJSZ/bw$E/40ut15IDYJCjBZ/QRPvuFpxteuTJSlkexi8xAZaVA"


def hash_password(password: str) -> str:
    """Return the argon2id hash in PHC format.

    Raises
    ------
    ConfigurationError
        The password has fewer than 12 or more than 200 characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigurationError(
            f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}", hint="several words are easy to remember"
        )
    return _HASHER.hash(password)


def check_password(password_hash: str | None, password: str) -> bool:
    """Return whether ``password`` matches; takes the same time where ``password_hash`` is None or empty."""
    try:
        _HASHER.verify(password_hash or _OF_NOBODY, password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


def waiting_message(wait_s: float) -> str:
    """What a person reads who has failed too often."""
    return f"Too many failed attempts. Try again in {counted(int(wait_s // 60) + 1, 'minute')}."
