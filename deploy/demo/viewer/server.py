"""Serves OHIF and the DICOMweb of a PACS from one origin, as ohif-nginx.conf does in Docker."""

import http.client
import mimetypes
import shutil
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

APP_CONFIG = Path(__file__).resolve().parents[2] / "conf" / "app-config.js"
# The first two give the viewer SharedArrayBuffer; the third allows it to load its own files under them.
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PROXIED = "/dicom-web"
UPSTREAM_TIMEOUT_S = 120.0
KEPT_S = 3600  # so that the browser neither fetches nor compiles the files of the viewer again for the next study
mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("text/javascript", ".mjs")


class ViewerServer:
    """HTTP server on a free port of 127.0.0.1: the viewer of ``folder``, and ``/dicom-web`` passed on to Orthanc's HTTP port."""

    def __init__(self, folder: Path, orthanc_port: int) -> None:
        handler = type("Handler", (_Handler,), {"folder": folder.resolve(), "orthanc_port": orthanc_port})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="viewer", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Start to serve, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop to serve and close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    orthanc_port: int

    def do_GET(self) -> None:
        """Answer with a file of the viewer, or with what the PACS answers."""
        path = unquote(urlsplit(self.path).path)
        if path == PROXIED or path.startswith(f"{PROXIED}/"):
            self._proxy()
        elif path == "/app-config.js":
            self._file(APP_CONFIG)
        else:
            file = (self.folder / path.lstrip("/")).resolve()
            if file.is_relative_to(self.folder) and file.is_file():
                self._file(file, kept_s=KEPT_S)
            else:  # any other path is a page of the viewer, which index.html renders
                self._file(self.folder / "index.html")

    def _file(self, path: Path, *, kept_s: int = 0) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(path.stat().st_size))
        if kept_s:
            self.send_header("Cache-Control", f"max-age={kept_s}")
        self._end_headers()
        with path.open("rb") as stream:
            shutil.copyfileobj(stream, self.wfile)

    def _proxy(self) -> None:
        """Pass the request on; the Host header makes the PACS write this server into its links."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.orthanc_port, timeout=UPSTREAM_TIMEOUT_S)
        try:
            kept = {name: value for name in ("Accept", "Host") if (value := self.headers.get(name))}
            upstream.request("GET", self.path, headers=kept)
            answer = upstream.getresponse()
            content = answer.read()
        except OSError:
            self.send_error(HTTPStatus.BAD_GATEWAY, "the PACS does not respond")
            return
        finally:
            upstream.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self._end_headers()
        self.wfile.write(content)

    def _end_headers(self) -> None:
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: paths contain study UIDs."""
