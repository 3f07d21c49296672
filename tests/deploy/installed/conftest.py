"""The wheel of the working tree, built once for the tests of this folder."""

from pathlib import Path

import pytest

from tests.support.wheels import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))
