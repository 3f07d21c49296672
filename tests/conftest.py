"""Fixtures and settings for every test."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.forked_workers", "tests.support.services", "tests.support.seaweed", "tests.support.shared_chromium"]

# The processes of the suite, and those that they start, share the cores. A second thread of OpenMP or OpenBLAS computes nothing faster
# there, and waits by spinning: an inference on two threads takes two and a half times the processor time of one on one thread. The
# libraries read these variables when they are loaded, which is later.
for variable, value in {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(variable, value)

# Every process of the suite and every process that a test starts reads the modules that an earlier one has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


class Loggers(dict[str, Any]):
    """The loggers of the process by name, whose values can be read while a thread makes further ones.

    pytest reads them before and after each phase of a test without the lock of the module `logging`. A thread that a fixture has started
    may import a library at that moment, and with it make loggers.
    """

    def values(self) -> Any:
        """Return a copy, which is made in one step of the interpreter."""
        return list(super().values())


logging.Logger.manager.loggerDict = Loggers(logging.Logger.manager.loggerDict)

gc.disable()  # until the test modules are imported, which frees nothing
# Allocations between two collections. Python's default of 700 takes a tenth of the processor time of a test that starts a console.
COLLECT_EVERY = 20_000

# A file is what `make test` gives to one of its processes. Those that take longest come first, so that no process is alone with one of
# them at the end.
LONGEST_FIRST = (
    "tests/integration/test_end_to_end.py",
    "tests/integration/test_console_walk.py",
    "tests/chaos/test_chaos.py",
    "tests/deploy/installed/test_wheel.py",
    "tests/deploy/demo/test_demo.py",
    "tests/deploy/local/test_up.py",
    "tests/deploy/installed/test_systemd.py",
    "tests/workers/encode/validate/test_external_validators.py",
    "tests/viewer/test_ohif.py",
    "tests/console/test_accessibility.py",
    "tests/models/lung_histology_ct/test_model.py",
    "tests/dicom_node/conduct/test_conductor.py",
    "tests/workers/child/test_memory_limit.py",
    "tests/console/worklist/test_live_page.py",
    "tests/console/viewer/test_hanging.py",
    "tests/training/lung_histology_ct/test_train.py",
    "tests/workers/queue/test_worker.py",
    "tests/deploy/cli/patients/test_erase.py",
    "tests/deploy/cli/trial/test_trial.py",
    "tests/console/viewer/test_growth.py",
    "tests/dicom_node/deliver/test_sender.py",
    "tests/dicom_node/receive/test_listen_role.py",
    "tests/console/viewer/test_other_series.py",
    "tests/models/bundle/test_detector.py",
    "tests/workers/attempt/test_imported_classifiers.py",
    "tests/training/dermoscopy/test_transfer.py",
    "tests/workers/child/test_loaded_models.py",
    "tests/fuzz/test_decoding.py",
    "tests/models/dermoscopy/test_model.py",
    "tests/training/dermoscopy/test_train.py",
    "tests/chaos/hosts/test_fail_over.py",
)

# One profile for the whole suite. How long an example takes depends on the machine and on what else runs on it, so no test has a deadline
# and slow generation of examples is no failure. The examples are random: each run tries others.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "25"))
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=EXAMPLES)
settings.load_profile("suite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the order of all others stays."""
    places = {config.rootpath / name: place for place, name in enumerate(LONGEST_FIRST)}
    missing = [str(path) for path in places if not path.is_file()]
    if missing:
        raise pytest.UsageError(f"LONGEST_FIRST in tests/conftest.py names files that do not exist: {', '.join(missing)}")
    items.sort(key=lambda item: places.get(Path(item.path), len(places)))


def pytest_collection_finish() -> None:
    """Leave what the test modules have imported out of every later collection of garbage, of which pytest makes several at its end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Search for garbage once: pytest does it ten times at its end, so that no warning of a finalizer is lost."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def default_logging() -> Iterator[None]:
    """Commands that a test calls in its own process configure the logs, for example ``doctor`` only critical events: undo it."""
    level = logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().setLevel(level)
