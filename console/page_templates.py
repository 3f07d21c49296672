"""The templates of every page: one environment with the filters and the navigation that all of them use."""

from collections.abc import Callable
from pathlib import Path

from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, select_autoescape

from console.assets import assets_path, viewer_modules
from console.auth.access import ACCESS, PUBLIC, UserRole
from console.formats import filters_in
from core.clock import system_clock
from core.time_zone import find_zone
from db.accounts.sessions import Session

FOLDER = Path(__file__).parent
NAVIGATION = (
    ("/worklist", "Worklist"),
    ("/upload", "Upload"),
    ("/dashboard", "Dashboard"),
    ("/models", "Models"),
    ("/operations", "Operations"),
    ("/audit", "Audit"),
    ("/status", "Status"),
    ("/users", "Users"),
)
"""Pages in the heading, in their order; each user sees those that the user's role may open."""


BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
SYSTEMS = (("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"), ("Linux", "Linux"))


def name_browser(user_agent: str) -> str:
    """Return browser and system in words, as ``Firefox on Windows``; what is not known is shown as it was sent."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), None)
    system = next((name for mark, name in SYSTEMS if mark in user_agent), None)
    if browser is None:
        return user_agent or "unknown"
    return browser if system is None else f"{browser} on {system}"


def pages_for(session: Session | None) -> list[tuple[str, str]]:
    """Return (path, label) of the pages that this user may open."""
    shown = []
    for path, label in NAVIGATION:
        allowed = ACCESS["GET", path]
        if allowed == PUBLIC or (session is not None and UserRole(session.user.role) in allowed):
            shown.append((path, label))
    return shown


def build_templates(
    ae_title: str, ohif_link: Callable[[str], str] = lambda study_instance_uid: "", time_zone: str = "UTC"
) -> Jinja2Templates:
    """Return the templates of all pages. Values are escaped.

    Parameters
    ----------
    ohif_link
        Gives the address of a study in OHIF, or "".
    time_zone
        IANA name of the zone in which pages show times.
    """
    environment = Environment(
        loader=FileSystemLoader([FOLDER / "templates", *sorted(path for path in FOLDER.iterdir() if path.is_dir())]),
        autoescape=select_autoescape(default=True),
        auto_reload=False,  # the files do not change while the console runs
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(ae_title=ae_title, pages_for=pages_for, ohif_link=ohif_link, now=system_clock, time_zone=time_zone)
    environment.globals.update(assets=assets_path(), viewer_modules=viewer_modules())
    environment.filters.update(filters_in(find_zone(time_zone)), browser=name_browser)
    return Jinja2Templates(env=environment)
