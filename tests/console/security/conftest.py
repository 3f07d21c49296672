"""The console of the tests of sign-in."""

from tests.console.auth.conftest import console

__all__ = ["console"]
