"""Checks that the models named in the routes are installed, when a role starts and not when the first study is received."""

from pathlib import Path

from core.errors import ConfigurationError
from core.settings.routes import Route
from core.settings.settings import Settings


def check_models(settings: Settings) -> None:
    """Check that the model of every route is shipped or installed, and takes series where the route has ``priors``.

    Raises
    ------
    ConfigurationError
        It is not, or does not; the message names the route.
    """
    from models import installed

    folder = settings.node.data_dir / installed.FOLDER
    names = installed.names(folder)
    for route in settings.routes:
        if route.model not in names:
            message = f"route '{route.name}' names model '{route.model}', which is neither shipped nor installed"
            raise ConfigurationError(message, hint=f"one of: {', '.join(names)}")
        if problem := priors_problem(route, folder):
            raise ConfigurationError(f"route '{route.name}': {problem}", hint="remove the key `priors` from this route")


def priors_problem(route: Route, folder: Path) -> str:
    """Return why results of the route's model cannot be compared with earlier ones; "" where they can, or no card can be read."""
    from models import installed

    cards = [version.card for version in installed.readable_versions(route.model, folder)]
    if route.priors is None or not cards or any("series" in card.units for card in cards):
        return ""
    return (
        f"priors is for models of series, and {route.model} takes single images: nothing in them says which of a patient's earlier "
        "photographs show the same lesion"
    )
