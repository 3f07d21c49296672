"""Fixtures and settings for every test."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.services"]

# One profile for the whole suite. How long an example takes depends on the machine and on what else runs on it, so no test has a deadline
# and slow generation of examples is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
