"""The compose file as a running deployment: started as an administrator starts it, checked, restarted, taken down."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.containers.engine import Engine, EngineError
from tests.support.console import PASSWORD, Browser

ROOT = Path(__file__).parents[2]
PROJECT = "dicom-node"
ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
SERVERS = ("postgres", "valkey", "orthanc", "ohif")
NODE_USER = 10001
READY_TIMEOUT_S, HEALTHY_TIMEOUT_S = 420.0, 180.0


def wait_until_ready(console_url: Callable[[], str]) -> None:
    """Return when ``/readyz`` of the console answers 200: database, broker and every role work.

    Raises
    ------
    EngineError
        It does not within `READY_TIMEOUT_S`; the text has the answer.
    """
    deadline, answer = time.monotonic() + READY_TIMEOUT_S, "no answer"
    while time.monotonic() < deadline:
        try:
            reply = httpx.get(f"{console_url()}/readyz", timeout=10)
            answer = reply.text
            if reply.status_code == 200:
                return
        except (httpx.HTTPError, EngineError, StopIteration) as error:
            answer = str(error)
        time.sleep(0.5)
    raise EngineError(f"not ready within {READY_TIMEOUT_S:g} s: {answer}")


def container(service: str) -> str:
    """Return the name that podman-compose gives to the container of a service."""
    return f"{PROJECT}_{service}_1"


class Deployment:
    """A copy of the compose file and its configuration, with its containers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def prepare(self) -> None:
        """Copy what an administrator needs, and make the secrets: the only step before the first start.

        Raises
        ------
        EngineError
            There are containers of the project already.
        """
        if self.containers():
            raise EngineError(f"there are containers of {PROJECT} on this machine: take them down first")
        for name in ("docker-compose.yml", "docker-compose.cpu.yml"):
            shutil.copyfile(ROOT / name, self.engine.folder / name)
        shutil.copytree(ROOT / "deploy/conf", self.engine.folder / "deploy/conf")
        self.engine.run("sh", "deploy/conf/make-secrets.sh")

    def containers(self) -> list[str]:
        """Return the names of the project's containers."""
        return self.engine.podman("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=^{PROJECT}_").split()

    def start(self) -> None:
        """Start everything without building, and wait until the node is ready."""
        self.engine.compose("up", "--detach", "--no-build")
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when ``/readyz`` of the console answers 200: database, broker and every role work.

        Raises
        ------
        EngineError
            It does not within `READY_TIMEOUT_S`; the text has the answer and the logs.
        """
        try:
            wait_until_ready(self.console_url)
        except EngineError as error:
            logs = "\n".join(f"{name}:\n{self.logs(name)}" for name in ("migrate", *ROLES))
            raise EngineError(f"{error}\n{logs}") from None

    def console_url(self) -> str:
        """Return the address of the console, which only this machine reaches."""
        return f"http://{self.engine.address(container('console'))}:8484"

    def logs(self, service: str, lines: int = 15) -> str:
        """Return the end of the log of a service."""
        return self.engine.run("podman", "logs", "--tail", str(lines), container(service), check=False)

    def doctor(self, service: str, *options: str) -> str:
        """Run ``doctor`` in a new container of a service, as docs/install.md says; returns its checks as JSON.

        Raises
        ------
        EngineError
            A check failed.
        """
        return self.engine.compose("run", "--rm", "--no-deps", "-T", service, "doctor", "--json", *options)

    def check_health(self) -> None:
        """Run the health check of every container until it succeeds, as the engine does at its intervals.

        Raises
        ------
        EngineError
            A check still fails after `HEALTHY_TIMEOUT_S`.
        """
        for service in (*ROLES, *SERVERS):
            if not self.engine.inspect(container(service))["Config"].get("Healthcheck"):
                continue
            deadline = time.monotonic() + HEALTHY_TIMEOUT_S
            while True:
                try:
                    self.engine.podman("healthcheck", "run", container(service))
                    break
                except EngineError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(1.0)

    def check_hardening(self) -> None:
        """Check in the running containers what the compose file asks for: user, root, capabilities.

        Raises
        ------
        EngineError
            A container may do more.
        """
        for service in (*ROLES, *SERVERS):
            user = NODE_USER if service in ROLES else None
            self.engine.check_hardened(container(service), user=user, read_only=service != "orthanc")

    def sign_in(self) -> None:
        """Add a user with the command line in the container, and open the worklist as that user.

        Raises
        ------
        EngineError
            The console does not let the user in.
        """
        add = ("dicom-node", "users", "add", "radiologist", "--role", "clinician", "--password-stdin")
        self.engine.podman("exec", "--interactive", container("console"), *add, text_input=f"{PASSWORD}\n")
        with Browser(base_url=self.console_url(), timeout=60) as browser:
            browser.open("/sign-in")
            browser.sign_in("radiologist", PASSWORD, "/worklist")
            page = browser.get("/worklist")
        if page.status_code != 200 or page.text.count("/studies/") < 2:
            raise EngineError(f"the worklist does not show the studies: status {page.status_code}, {page.url}")

    def restart_each(self) -> None:
        """Restart each container once: first the servers, then the roles. Those of a group are stopped at the same time.

        By stop and start: Podman 4 refuses `restart` for a container behind one that has ended, as every role is behind `migrate`. It
        starts no container behind one that is being stopped.
        """
        for services in (SERVERS, ROLES):
            names = [container(service) for service in services]
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(lambda name: self.engine.podman("stop", "--time", "40", name), names))
            for name in names:
                self.engine.podman("start", name)

    def take_down(self) -> None:
        """Remove containers, networks and volumes.

        Raises
        ------
        EngineError
            A container is left.
        """
        self.engine.compose("down", "--volumes", "--timeout", "40")
        if left := self.containers():
            raise EngineError(f"containers are left: {', '.join(left)}")
