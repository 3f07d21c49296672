"""What a sign-in through a provider of OpenID Connect results in: an identity, or a refusal with its reason."""

from dataclasses import dataclass


class SignInRefused(Exception):
    """The provider's answer cannot be accepted. ``reason`` is a short word for the audit trail; the text is shown to the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProviderUnavailable(SignInRefused):
    """The provider cannot be asked now. The same sign-in may succeed later; ``__cause__`` says why it did not, for the log."""

    def __init__(
        self, message: str = "The provider does not answer as expected. Try again in a moment.", *, reason: str = "unreachable"
    ) -> None:
        super().__init__(reason, message)


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """Who a verified ID token speaks of: ``subject`` never changes at this issuer, ``roles`` are the values of the role claim."""

    subject: str
    name: str
    roles: tuple[str, ...]
