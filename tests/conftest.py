"""Fixtures and settings for every test."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.services", "tests.support.seaweed"]

# One profile for the whole suite. How long an example takes depends on the machine and on what else runs on it, so no test has a deadline
# and slow generation of examples is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    """Commands that a test calls in its own process configure the logs, for example ``doctor`` only critical events: undo it."""
    yield
    structlog.reset_defaults()
