"""Checks that the packages of the training extra are installed, so that a command fails before it starts and not after hours."""

from importlib.util import find_spec

from core.errors import ConfigurationError

# Import name -> distribution, of requirements/training.in and of what training uses of requirements/worker.in.
PACKAGES = {
    "torch": "torch",
    "monai": "monai",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "tomli_w": "tomli-w",
}


def require_training_extra(command: str) -> None:
    """Raise ConfigurationError that names the packages which ``command`` (such as "models train") lacks."""
    missing = [distribution for module, distribution in PACKAGES.items() if find_spec(module) is None]
    if missing:
        hint = "install the training extra: pip install -r requirements/torch.txt -r requirements/training.txt"
        raise ConfigurationError(f"{command} needs {', '.join(missing)}, which this environment does not have", hint=hint)
