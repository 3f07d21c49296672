"""Runs rsyslog with TLS (package rsyslog-gnutls) on a free port of the local host."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.node_process import wait_until

# RFC 5425: messages with counted octets over TLS. Each message becomes a line of the file, with what rsyslog parsed of it.
CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{ca}"
       defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{mode}"{permitted})
template(name="parsed" type="string" string="%syslogfacility% %syslogseverity-text% %app-name% %msgid% %msg%\\n")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{folder}/port")
action(type="omfile" file="{folder}/messages" template="parsed")
"""


@dataclass(frozen=True, slots=True)
class SyslogServer:
    """A running server; ``url`` for `audit.syslog_url`."""

    url: str
    messages: Path

    def received(self) -> list[str]:
        """Return the messages so far: facility, severity, application, message id, text."""
        return self.messages.read_text().splitlines() if self.messages.exists() else []


@contextmanager
def running_syslog(folder: Path, ca: Path, pair: tuple[Path, Path], *, client: str = "") -> Iterator[SyslogServer]:
    """Run a server with this certificate and key. ``client``: name that the certificate of a sender must have; "": none is asked for."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if program is None:
        pytest.fail("rsyslog is not installed: apt-get install rsyslog rsyslog-gnutls")
    folder.mkdir()
    permitted = f' permittedPeer="{client}"' if client else ""
    text = CONFIG.format(folder=folder, ca=ca, cert=pair[0], key=pair[1], mode="x509/name" if client else "anon", permitted=permitted)
    (folder / "rsyslog.conf").write_text(text)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        port = wait_until("rsyslog", lambda: process.poll() is not None or _port(folder / "port"), every_s=0.05)
        assert process.poll() is None, (folder / "log").read_text()
        yield SyslogServer(f"tls://127.0.0.1:{port}", folder / "messages")
    finally:
        process.terminate()
        process.wait(60)


def _port(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
