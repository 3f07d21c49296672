"""The PACS of the demo: Orthanc where it is installed, else a small storage SCP of pynetdicom."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pynetdicom import evt
from pynetdicom.events import Event

from core.errors import StorageError
from deploy.local.child_process import dying_with_us
from dicom_node.contexts import VERIFICATION, storage_classes, transfer_syntaxes
from dicom_node.sockets import Entity

AE_TITLE = "DEMOPACS"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")  # where Debian's orthanc-dicomweb puts it
START_TIMEOUT_S = 30.0


class Pacs(Protocol):
    """A PACS that takes instances and gives them back."""

    name: str
    port: int
    answers_queries: bool

    def start(self) -> None: ...
    def fetch(self, sop_instance_uid: str) -> bytes | None:
        """The whole Part 10 file as the PACS holds it; None where it does not."""

    def stop(self) -> None: ...


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose(folder: Path, *, orthanc: bool | None = None) -> Pacs:
    """Orthanc where it is installed (or asked for), else the storage SCP."""
    program = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
    wanted = program is not None if orthanc is None else orthanc
    return Orthanc(program or "Orthanc", folder) if wanted else StorageScp(folder)


class Orthanc:
    """A real PACS, on free ports of 127.0.0.1, with its storage in ``folder``."""

    answers_queries = True

    def __init__(self, program: str, folder: Path, more: Mapping[str, Any] = MappingProxyType({})) -> None:
        """``more``: of its configuration, beside or instead of what is written here."""
        self.name = "Orthanc"
        self._more = more
        self.program = program
        self.folder = folder
        self.port, self.http_port = free_port(), free_port()
        self.dicomweb = DICOMWEB if DICOMWEB.is_file() else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises StorageError where it does not answer in time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "Name": "dicom-node demo",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
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
            **self._more,
        }
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(config, indent=2))
        with (self.folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen([*dying_with_us(), self.program, str(path)], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._get("/system") is None:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise StorageError("Orthanc did not start", hint=f"see {self.folder / 'orthanc.log'}")
            time.sleep(0.05)

    def fetch(self, sop_instance_uid: str) -> bytes | None:
        answer = self._get("/tools/lookup", sop_instance_uid.encode())
        found = [entry for entry in json.loads(answer or b"[]") if entry["Type"] == "Instance"]
        return self._get(f"/instances/{found[0]['ID']}/file") if found else None

    def modalities(self, study_instance_uid: str) -> set[str]:
        """Of the series of the study that it holds."""
        query = {"Level": "Series", "Query": {"StudyInstanceUID": study_instance_uid}, "Expand": True}
        series = json.loads(self._get("/tools/find", json.dumps(query).encode()) or b"[]")
        return {str(one["MainDicomTags"].get("Modality", "")) for one in series}

    def _get(self, path: str, body: bytes | None = None) -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", data=body, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class StorageScp:
    """Keeps what it is sent as files; answers C-ECHO and C-STORE, no queries."""

    answers_queries = False

    def __init__(self, folder: Path) -> None:
        self.name = "pynetdicom storage SCP"
        self.folder = folder
        self.port = 0
        self._files: dict[str, Path] = {}
        self._server: Any = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        entity = Entity(AE_TITLE)
        entity.add_supported_context(VERIFICATION)
        syntaxes = list(transfer_syntaxes())
        for uid in storage_classes():
            entity.add_supported_context(uid, syntaxes)
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = int(self._server.server_address[1])

    def _store(self, event: Event) -> int:
        path = self.folder / f"{len(self._files):05d}.dcm"
        path.write_bytes(event.encoded_dataset())
        self._files[str(event.dataset.SOPInstanceUID)] = path
        return 0x0000

    def fetch(self, sop_instance_uid: str) -> bytes | None:
        path = self._files.get(sop_instance_uid)
        return path.read_bytes() if path is not None else None

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
