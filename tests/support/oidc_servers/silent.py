"""A provider of OpenID Connect that takes requests for chosen paths and does not answer them until it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc.jwk import ECKey

DISCOVERY, KEYS, TOKEN = "/.well-known/openid-configuration", "/keys", "/token"


class SilentProvider:
    """``asked`` lists the paths of the requests; those in ``silent_paths`` wait for ``release``, and are then answered with 500."""

    def __init__(self, silent_paths: set[str], port: int) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()
        provider, public = self, ECKey.generate_key("P-256").as_dict(private=False)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                if self.path in silent_paths:
                    provider.release.wait()
                    self.send_error(500)
                    return
                issuer = provider.issuer
                found = {"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + TOKEN}
                content = json.dumps({"keys": [public]} if self.path == KEYS else {**found, "jwks_uri": issuer + KEYS}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Write no log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def run_silent_provider(*silent_paths: str, port: int = 0) -> Iterator[SilentProvider]:
    """Run a provider on a port; 0 is any free one."""
    provider = SilentProvider(set(silent_paths), port)
    thread = threading.Thread(target=provider.server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        provider.release.set()
        provider.server.shutdown()
        thread.join()
        provider.server.server_close()
