"""A provider of OpenID Connect: discovery, authorization request with PKCE, exchange of the code, and the checks of the ID token.

Sources: OpenID Connect Core 1.0 section 3.1, Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (issuer in the response).
"""

import base64
import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from console.auth.oidc.files import client_secret, tls_context
from console.auth.oidc.identity import ProviderIdentity, ProviderUnavailable, SignInRefused
from core.clock import system_clock
from core.errors import ConfigurationError
from core.settings.web.console import OidcSection

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with a key pair. ``none`` is refused, and HMAC too, because its key would be known to several parties."""

LEEWAY_S = 60  # clocks may differ by this
TIMEOUT_S = 10.0
KEPT_S = 3600.0  # the discovery document and the keys
SILENT_S = 5.0  # after a request that was not answered, none is sent for this long
EXCHANGES = 4  # codes exchanged at once
MISCONFIGURED = "A file of the console's configuration cannot be read. Tell its administrator: the log names the file."


@dataclass(frozen=True, slots=True)
class _Known:
    metadata: Mapping[str, Any]
    keys: KeySet
    at_s: float


class OidcProvider:
    """The configured provider. Discovery document and keys are read at the first sign-in and kept for an hour.

    Anybody can cause requests to the provider. No thread waits for another, and few wait for the provider: while it does not answer,
    the threads of the console are left for its other pages.
    """

    def __init__(self, section: OidcSection) -> None:
        self._section = section
        self._known: _Known | None = None
        self._reading = threading.Lock()
        self._exchanges = threading.BoundedSemaphore(EXCHANGES)
        self._silent_until_s = 0.0

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Return where the browser is sent. Raises SignInRefused where the provider does not answer, or files cannot be read."""
        self._read_secret()  # else the person would sign in at the provider in vain
        section, metadata = self._section, self._read().metadata
        asked = {"redirect_uri": section.redirect_url, "scope": section.scopes, "state": state, "nonce": nonce}
        proof = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        return str(prepare_grant_uri(metadata["authorization_endpoint"], section.client_id, "code", **asked, **proof))

    def identify(self, query: Mapping[str, str], *, state: str, nonce: str, verifier: str) -> ProviderIdentity:
        """Return who has signed in, from the parameters with which the browser came back.

        Raises
        ------
        SignInRefused
            Any check fails.
        """
        if not state or not hmac.compare_digest(query.get("state", "").encode(), state.encode()):
            raise SignInRefused("state", "This sign-in was not begun in this browser, or it is too old.")
        if "error" in query:
            raise SignInRefused("provider", "The provider has refused the sign-in.")
        known = self._read()
        if query.get("iss", self._section.issuer) != self._section.issuer:
            raise SignInRefused("issuer", "The answer comes from another provider.")
        if not self._exchanges.acquire(blocking=False):
            raise ProviderUnavailable
        try:
            token = self._exchange(known, query.get("code", ""), verifier)
            return self._identity(self._claims(known, token, nonce))
        finally:
            self._exchanges.release()

    def _read(self) -> _Known:
        known = self._known
        if known is not None and time.monotonic() - known.at_s <= KEPT_S:
            return known
        if not self._reading.acquire(blocking=False):
            if known is None:
                raise ProviderUnavailable
            return known  # another thread reads it anew
        try:
            metadata = self._get(self._section.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if metadata.get("issuer") != self._section.issuer:
                raise SignInRefused("issuer", "The provider names another issuer than the configuration of the console.")
            if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= metadata.keys():
                raise SignInRefused("discovery", "The description of the provider is incomplete.")
            self._known = fresh = _Known(metadata, self._keys(metadata), time.monotonic())
        finally:
            self._reading.release()
        return fresh

    def _keys(self, metadata: Mapping[str, Any]) -> KeySet:
        document = self._get(str(metadata["jwks_uri"]))
        try:
            return KeySet.import_key_set({"keys": document["keys"]})
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise SignInRefused("keys", "The keys of the provider cannot be read.") from error

    def _exchange(self, known: _Known, code: str, verifier: str) -> str:
        section = self._section
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": section.redirect_url, "code_verifier": verifier}
        headers = {}
        secret = self._read_secret()
        if secret is None:
            form["client_id"] = section.client_id
        else:
            credentials = f"{quote_plus(section.client_id)}:{quote_plus(secret)}"  # RFC 6749 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        answer = self._request("POST", str(known.metadata["token_endpoint"]), data=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("token", "The provider sent no ID token.")
        return token

    def _claims(self, known: _Known, token: str, nonce: str) -> Mapping[str, Any]:
        """Check the ID token (Core 3.1.3.7)."""
        section = self._section
        try:
            decoded = self._verified(known, token)
        except (JoseError, ValueError) as error:
            raise SignInRefused("signature", "The signature of the ID token cannot be accepted.") from error
        claims = decoded.claims
        now = int(system_clock().timestamp())
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        checks = (
            ("issuer", claims.get("iss") == section.issuer, "The ID token was issued by another provider."),
            ("audience", section.client_id in audiences, "The ID token was issued for another program."),
            ("audience", claims.get("azp", section.client_id) == section.client_id, "The ID token was issued for another program."),
            ("audience", len(audiences) == 1 or "azp" in claims, "The ID token was issued for several programs."),
            ("expired", _number(claims.get("exp")) > now - LEEWAY_S, "The ID token has expired."),
            ("issued", 0 < _number(claims.get("iat")) < now + LEEWAY_S, "The ID token has no valid time of issue."),
            ("issued", _number(claims.get("nbf", 0)) < now + LEEWAY_S, "The ID token is not valid yet."),
            ("nonce", bool(nonce) and claims.get("nonce") == nonce, "The ID token belongs to another sign-in."),
            ("subject", isinstance(claims.get("sub"), str) and bool(claims.get("sub")), "The ID token has no subject."),
        )
        for reason, passed, message in checks:
            if not passed:
                raise SignInRefused(reason, message)
        return claims

    def _verified(self, known: _Known, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, known.keys, algorithms=list(ALGORITHMS))
        except JoseError:
            fresh = _Known(known.metadata, self._keys(known.metadata), time.monotonic())  # the provider may have new keys
            self._known = fresh
            return jwt.decode(token, fresh.keys, algorithms=list(ALGORITHMS))

    def _identity(self, claims: Mapping[str, Any]) -> ProviderIdentity:
        section = self._section
        roles: Any = claims
        for step in section.role_claim.split("."):
            roles = roles.get(step) if isinstance(roles, Mapping) else None
        values = [roles] if isinstance(roles, str) else roles if isinstance(roles, list) else []
        name = claims.get(section.name_claim)
        if not isinstance(name, str) or not 1 <= len(name) <= 64 or not name.isprintable():
            raise SignInRefused("name", f"The ID token has no usable name in the claim {section.name_claim}.")
        return ProviderIdentity(str(claims["sub"]), name, tuple(str(value) for value in values))

    def _read_secret(self) -> str | None:
        try:
            return client_secret(self._section)
        except ConfigurationError as error:
            raise ProviderUnavailable(MISCONFIGURED, reason="configuration") from error

    def _get(self, url: str) -> dict[str, Any]:
        return self._request("GET", url)

    def _request(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        if time.monotonic() < self._silent_until_s:
            raise ProviderUnavailable
        try:
            verify = tls_context(self._section)
        except ConfigurationError as error:
            raise ProviderUnavailable(MISCONFIGURED, reason="configuration") from error
        try:
            with httpx.Client(verify=verify, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
                reply = client.request(method, url, **arguments)
                reply.raise_for_status()
                document = reply.json()
        except httpx.TransportError as error:
            self._silent_until_s = time.monotonic() + SILENT_S
            raise ProviderUnavailable from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SignInRefused("unreachable", "The provider does not answer as expected. Try again in a moment.") from error
        if not isinstance(document, dict):
            raise SignInRefused("unreachable", "The provider does not answer as expected. Try again in a moment.")
        return document


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
