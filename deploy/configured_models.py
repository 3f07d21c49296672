"""Checks that the models named in the routes are installed, when a role starts and not when the first study is received."""

from core.errors import ConfigurationError
from core.settings.settings import Settings


def check_models(settings: Settings) -> None:
    """Check that the model of every route is shipped or installed.

    Raises
    ------
    ConfigurationError
        It is not; the message names the route and the models that are.
    """
    from models import installed

    names = installed.names(settings.node.data_dir / installed.FOLDER)
    for route in settings.routes:
        if route.model not in names:
            message = f"route '{route.name}' names model '{route.model}', which is neither shipped nor installed"
            raise ConfigurationError(message, hint=f"one of: {', '.join(names)}")
