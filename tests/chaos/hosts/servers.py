"""HAProxy, Valkey and an S3 server, each on a host of its own."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local.embedded.broker import find_broker
from deploy.local.ports import accepts_connections
from tests.chaos.hosts.network import Host
from tests.support.certificates import Authority
from tests.support.external_programs import venv_tool
from tests.support.node_process import wait_until
from tests.support.seaweed import ACCESS_KEY, RIGHTS, SECRET_KEY

DICOM_PORT, BALANCED_PORT, BROKER_PORT, S3_PORT = 11112, 104, 6379, 8334
PASSWORD = "broker-password"
START_S = 120.0
HAPROXY = """
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  option redispatch
  retries 3
listen dicom
  bind :{port}
  balance roundrobin
{servers}
"""


def start_haproxy(host: Host, folder: Path, listeners: Sequence[Host]) -> None:
    """Start HAProxy before the listeners: the block of docs/several-machines.md with shorter times."""
    servers = "\n".join(
        f"  server {one.name} {one.address}:{DICOM_PORT} send-proxy-v2 check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions"
        for one in listeners
    )
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=BALANCED_PORT, servers=servers))
    with (folder / "haproxy.log").open("wb") as log:
        subprocess.Popen(host.command("haproxy", "-f", str(config), "-db"), stdout=log, stderr=log)
    wait_until("HAProxy", lambda: accepts_connections(host.address, BALANCED_PORT), timeout_s=START_S)


class ValkeyServer:
    """A Valkey or Redis without a disk: when it ends, everything in it is lost."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``broker.url``."""
        return f"redis://:{PASSWORD}@{self.host.address}:{BROKER_PORT}/0"

    def start(self) -> None:
        """Start it, empty."""
        settings = ("--bind", "0.0.0.0", "--port", str(BROKER_PORT), "--save", "", "--appendonly", "no", "--requirepass", PASSWORD)
        self._process = subprocess.Popen(self.host.command(find_broker(), *settings), stdout=subprocess.DEVNULL)
        wait_until("the broker", self._runs, timeout_s=START_S, every_s=0.1)

    def _runs(self) -> bool:
        """Ask from its own host, which may be cut off."""
        command = self.host.command("redis-cli", "-p", str(BROKER_PORT), "-a", PASSWORD, "--no-auth-warning", "ping")
        return b"PONG" in subprocess.run(command, capture_output=True, check=False).stdout

    def kill(self) -> None:
        """End it as SIGKILL does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def start_s3(host: Host, folder: Path) -> dict[str, str]:
    """Start SeaweedFS with HTTPS; return the settings of ``[store]``."""
    folder.mkdir()
    authority = Authority(folder / "authority")
    cert, key = authority.sign("store", host=host.address)
    (folder / "s3.json").write_text(json.dumps({"identities": [RIGHTS]}))
    here = [f"-ip={host.address}", "-ip.bind=0.0.0.0", "-s3", "-s3.port=8333", f"-s3.port.https={S3_PORT}"]
    here += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.cert.file={cert}", f"-s3.key.file={key}"]
    here += [f"-s3.config={folder / 's3.json'}", "-volume.max=8", "-master.volumeSizeLimitMB=256", f"-dir={folder}"]
    here += ["-master.telemetry=false", "-master.electionTimeout=1s"]
    with (folder / "log").open("wb") as log:
        subprocess.Popen(host.command(venv_tool("weed"), "server", *here), stdout=log, stderr=log, cwd=folder)
    wait_until("the S3 server", lambda: accepts_connections(host.address, S3_PORT), timeout_s=START_S)
    return {
        "url": "s3://blobs/site",
        "endpoint": f"https://{host.address}:{S3_PORT}",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "ca": str(authority.ca),
    }
