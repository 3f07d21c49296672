"""The second factor: time-based codes after RFC 6238 (six digits, 30 seconds, SHA-1, as every authenticator program has them)."""

import re

import pyotp

from core.clock import system_clock
from db.accounts.users import User, use_second_factor_step
from db.engine import Database

STEP_S = 30
ISSUER = "dicom-node"
_SECRET = re.compile(r"[A-Z2-7]{32}")


def new_secret() -> str:
    """Return a random secret of 160 bits in base32."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Return whether this may be a secret of `new_secret`."""
    return _SECRET.fullmatch(text) is not None


def enrolment_uri(secret: str, user_name: str, ae_title: str) -> str:
    """Return the otpauth URI that an authenticator program reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=f"{user_name}@{ae_title}", issuer_name=ISSUER)


def matching_step(secret: str, code: str, at_s: float) -> int | None:
    """Return the time step whose code this is: the present one, the one before or the one after; None for a wrong code."""
    totp = pyotp.TOTP(secret)
    digits = "".join(code.split())
    present = int(at_s // STEP_S)
    return next((step for step in (present, present - 1, present + 1) if pyotp.utils.strings_equal(totp.generate_otp(step), digits)), None)


def accept_code(database: Database, user: User, code: str) -> bool:
    """Return whether the code is right and was not used before; it is used up by this."""
    step = matching_step(user.totp_secret, code, system_clock().timestamp())
    return step is not None and use_second_factor_step(database, user.id, step)
