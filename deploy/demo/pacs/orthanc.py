"""Orthanc as the PACS of the demo and of tests."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import StorageError
from deploy.demo.pacs.interface import AE_TITLE
from deploy.local.child_process import end_with_parent
from deploy.local.ports import free_port

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # where Debian's orthanc-dicomweb installs it
START_TIMEOUT_S, STOP_TIMEOUT_S = 30.0, 10.0


class Orthanc:
    """Orthanc on free ports of 127.0.0.1, with its storage in ``folder``.

    Parameters
    ----------
    program
        Path of the executable.
    folder
        Where its configuration, its log and its storage are.
    settings
        Entries of Orthanc's configuration that are added to, or replace, those of this class.
    """

    name = "Orthanc"
    answers_queries = True

    def __init__(self, program: str, folder: Path, settings: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._settings = settings
        self.program = program
        self.folder = folder
        self.port, self.http_port = free_port(), free_port()
        self.dicomweb = DICOMWEB_PLUGIN if DICOMWEB_PLUGIN.is_file() else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises
        ------
        StorageError
            It does not answer in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self._configuration(), indent=2))
        with (self.folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen([*end_with_parent(), self.program, str(path)], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._request("/system") is None:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise StorageError("Orthanc did not start", hint=f"see {self.folder / 'orthanc.log'}")
            time.sleep(0.05)

    def fetch(self, sop_instance_uid: str) -> bytes | None:
        """Return the Part 10 file as Orthanc stores it; None when it does not have the instance."""
        answer = self._request("/tools/lookup", sop_instance_uid.encode())
        found = [entry for entry in json.loads(answer or b"[]") if entry["Type"] == "Instance"]
        return self._request(f"/instances/{found[0]['ID']}/file") if found else None

    def modalities(self, study_instance_uid: str) -> set[str]:
        """Return the modalities of the series that it has of a study."""
        query = {"Level": "Series", "Query": {"StudyInstanceUID": study_instance_uid}, "Expand": True}
        series = json.loads(self._request("/tools/find", json.dumps(query).encode()) or b"[]")
        return {str(item["MainDicomTags"].get("Modality", "")) for item in series}

    def stop(self) -> None:
        """Stop the server, with SIGKILL when SIGTERM has no effect."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        return {
            "Name": "dicom-node demo",
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [str(self.dicomweb)] if self.dicomweb is not None else [],
            "DicomWeb": {"Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": AE_TITLE,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": False,
            "ConcurrentJobs": 2,
            **self._settings,
        }

    def _request(self, path: str, body: bytes | None = None) -> bytes | None:
        """Return the body of the answer, to POST where a body is given; None when there is no answer or an error."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", data=body, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
