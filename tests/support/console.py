"""A console on real HTTP and a real database, with users of every role, and a client that behaves as a browser does."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
from argon2 import PasswordHasher
from fastapi._compat import v2
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from pydantic import TypeAdapter

from console import app, page_templates
from console.auth.access import UserRole
from console.auth.credentials import passwords
from core.settings.node import NodeSection
from core.settings.settings import Settings
from core.settings.web.console import ConsoleSection
from db.accounts.users import add_user
from db.engine import Database

PASSWORD = "correct horse battery staple"
# Consoles in the process of a test hash with the smallest parameters: those of the product take 0.1 s of processor time for each sign-in.
passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD_HASH = passwords.hash_password(PASSWORD)
OF_NOBODY_IN_THE_PRODUCT, passwords._OF_NOBODY = passwords._OF_NOBODY, passwords.hash_password("of nobody, with these parameters")


class CompiledTemplates(BytecodeCache):
    """Templates that a console of this process has compiled: each console has an environment of its own, with the same files."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take over what another console has compiled from the same source."""
        if found := self._kept.get(f"{bucket.key} {bucket.checksum}"):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template."""
        self._kept[f"{bucket.key} {bucket.checksum}"] = bucket.bytecode_to_string()


page_templates.Environment = partial(Environment, bytecode_cache=CompiledTemplates())  # type: ignore[assignment,misc]


_TYPE_ADAPTERS: dict[str, TypeAdapter[Any]] = {}


def _type_adapter(annotated: Any, config: Any = None) -> TypeAdapter[Any]:
    """As ``TypeAdapter``, once for each type: the routes of every console have the same parameters, and half of its start is this."""
    key = f"{id(annotated.__origin__)} {annotated!r} {config!r}"
    if key not in _TYPE_ADAPTERS:
        _TYPE_ADAPTERS[key] = TypeAdapter(annotated, config=config)
    return _TYPE_ADAPTERS[key]


v2.TypeAdapter = _type_adapter  # type: ignore[assignment,misc]


def add_users(database: Database) -> None:
    """Add one user of each role; the name of the user is that of the role."""
    for role in UserRole:
        add_user(database, name=role, role=role, password_hash=PASSWORD_HASH, actor="test")


class Browser(httpx.Client):
    """A client that keeps cookies, sends ``Origin`` with forms, and repeats the form token of the page it read last."""

    form_token = ""

    def __init__(self, **given: Any) -> None:
        """As httpx.Client. The certificates of public authorities, which take longer to load than a page, are not needed here."""
        super().__init__(**{"verify": False, **given})

    def open(self, path: str) -> httpx.Response:
        """Read a page and remember its form token."""
        reply = self.get(path)
        found = re.search(r'name="form_token" value="([^"]+)"', reply.text)
        self.form_token = found[1] if found else ""
        return reply

    def send_form(self, path: str, method: str = "POST", /, **fields: str | list[str]) -> httpx.Response:
        """Send a form with the token of the page that was read last."""
        headers = {"Origin": str(self.base_url).rstrip("/")}
        return self.request(method, path, data={"form_token": self.form_token, **fields}, headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD, next: str = "/account") -> httpx.Response:
        """Sign in and read the page behind it; gives the reply of the sign-in form."""
        reply = self.send_form("/sign-in", name=name, password=password, next=next)
        if reply.status_code == 303:
            self.open(reply.headers["location"])
        return reply


class RunningConsole:
    """The console in a thread of this process, on a free port of the loopback."""

    def __init__(self, database: Database, data_dir: Path, *, idle_s: float = 1800.0, max_s: float = 43200.0, **sections: Any) -> None:
        section = ConsoleSection(port=0, session_idle_s=idle_s, session_max_s=max_s)
        document = {"node": NodeSection(data_dir=data_dir, ae_title="TESTNODE"), "console": section, **sections}
        settings = Settings.model_validate(document)
        self._stop, ready = threading.Event(), threading.Event()
        self.url = ""

        def on_ready(host: str, port: int) -> None:
            self.url = f"http://{host}:{port}"
            ready.set()

        self._thread = threading.Thread(target=app.run, args=(settings, database, self._stop, on_ready), daemon=True)
        self._thread.start()
        assert ready.wait(600)

    @contextmanager
    def browser(self, user: str = "") -> Iterator[Browser]:
        """Yield a new browser: without cookies, or signed in as this user."""
        with Browser(base_url=self.url, timeout=600) as opened:
            if user:
                opened.sign_in(user)
            yield opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(600)
        assert not self._thread.is_alive()
