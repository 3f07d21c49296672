"""Runs Orthanc on free ports of the local host, as a sender (its store jobs) and a receiver."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.local.ports import free_port

# Settings of an archive that refuses inconsistent objects and carries out rejections. A missing plug-in is named in its log.
ARCHIVE: Mapping[str, Any] = {
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancPython.so"],
    "PythonScript": str(Path(__file__).parents[2] / "deploy/conf/orthanc_archive.py"),
}


class Orthanc:
    """One Orthanc with its own storage, which it keeps over restarts. ``settings`` replace or extend those of this class."""

    def __init__(self, folder: Path, ae_title: str, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.ae_title, self._settings = folder, ae_title, dict(settings or {})
        self.port, self.http_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._changes_read, self._reports = 0, list[Mapping[str, Any]]()
        self._opener = urllib.request.build_opener()

    def signed_in(self, user: str, password: str) -> None:
        """Use this account for the REST interface, where ``settings`` require one."""
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        passwords.add_password(None, f"http://127.0.0.1:{self.http_port}", user, password, is_authenticated=True)
        self._opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))

    def start(self) -> "Orthanc":
        """Start the server and wait until it answers."""
        program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.fail("Orthanc is not installed: apt-get install orthanc")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [],
            "HttpPort": self.http_port,
            "AuthenticationEnabled": False,
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowFind": True,
            "DicomAssociationCloseDelay": 0,
            "KeepAlive": False,
            **self._settings,
        }
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(config))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([program, str(path)], stdout=log, stderr=log)
        deadline = time.monotonic() + 240
        while True:
            try:
                self.get("/system")
                return self
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    self.stop()
                    pytest.fail((self.folder / "orthanc.log").read_text()[-2000:])
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(600)

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method=method)
        with self._opener.open(request, timeout=120) as answer:
            content: bytes = answer.read()
        return content

    def raw(self, path: str) -> bytes:
        """Return the body of the answer to a GET request."""
        return self._request("GET", path)

    def get(self, path: str) -> Any:
        """Return the JSON document that answers a GET request."""
        return json.loads(self._request("GET", path))

    def put(self, path: str, value: Any) -> None:
        """Send a PUT request with a JSON document."""
        self._request("PUT", path, json.dumps(value).encode())

    def post(self, path: str, value: Any) -> Any:
        """Send a POST request with bytes or a JSON document; return the JSON document that answers it."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return json.loads(self._request("POST", path, body))

    def delete(self, path: str) -> None:
        """Send a DELETE request."""
        self._request("DELETE", path)

    def upload(self, files: Iterable[Path]) -> set[str]:
        """Import files over REST; return the Orthanc identifiers of their series."""
        return {self.post("/instances", path.read_bytes())["ParentSeries"] for path in files}

    def knows(self, name: str, ae_title: str, port: int) -> None:
        """Add a modality to send to."""
        self.put(f"/modalities/{name}", {"AET": ae_title, "Host": "127.0.0.1", "Port": port})

    def echo(self, name: str) -> None:
        """Send C-ECHO to a modality."""
        self._request("POST", f"/modalities/{name}/echo", b"{}")

    def send(self, name: str, resources: Iterable[str]) -> Mapping[str, Any]:
        """Send series to a modality with C-STORE; every instance must be accepted."""
        answer = self.post(f"/modalities/{name}/store", {"Resources": sorted(resources), "Synchronous": True})
        assert answer["FailedInstancesCount"] == 0, answer
        return dict(answer)

    def reports(self) -> list[Mapping[str, Any]]:
        """Return every SR that it received: Orthanc's simplified tags, with its ``ID``.

        Each call asks only for the instances that arrived since the last one, because a test calls it until a report is there.
        """
        done = False
        while not done:
            changes = self.get(f"/changes?since={self._changes_read}&limit=500")
            self._changes_read, done = changes["Last"], changes["Done"]
            for change in changes["Changes"]:
                if change["ChangeType"] == "NewInstance":
                    tags = self.get(f"/instances/{change['ID']}/simplified-tags")
                    if tags.get("Modality") == "SR":
                        self._reports.append({**tags, "ID": change["ID"]})
        return list(self._reports)

    def file(self, identifier: str) -> bytes:
        """Return the Part 10 file as Orthanc stores it."""
        return self._request("GET", f"/instances/{identifier}/file")
