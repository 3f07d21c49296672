"""What a configuration names must be there: checked when a role starts, not when the first study comes."""

from core.errors import ConfigurationError
from core.settings.settings import Settings


def check_models(settings: Settings) -> None:
    """Every route's model is shipped or installed.

    Raises
    ------
    ConfigurationError
        Names the route and the models that there are.
    """
    from models import installed

    names = installed.names(settings.node.data_dir / installed.FOLDER)
    for route in settings.routes:
        if route.model not in names:
            message = f"route '{route.name}' names model '{route.model}', which is neither shipped nor installed"
            raise ConfigurationError(message, hint=f"one of: {', '.join(names)}")
