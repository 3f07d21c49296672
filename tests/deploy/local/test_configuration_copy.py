"""The copy of the configuration: complete, private, and of the version that was checked."""

import hashlib
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from deploy.local.configuration_copy import ConfigurationCopy


def test_the_copy_is_private_and_is_removed(tmp_path: Path) -> None:
    source = tmp_path / "node.toml"
    source.write_text("[node]\n")
    (tmp_path / "run").mkdir()
    copy = ConfigurationCopy(source, tmp_path / "run")
    copy.write(hashlib.sha256(b"[node]\n").hexdigest())
    option, path = copy.options()
    assert (option, Path(path).read_text(), Path(path).stat().st_mode & 0o777) == ("--config", "[node]\n", 0o600)
    source.write_text("[wrong")
    with pytest.raises(ConfigurationError, match="was changed while it was read"):
        copy.write(hashlib.sha256(b"[node]\n").hexdigest())
    assert Path(path).read_text() == "[node]\n"
    copy.remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_node_without_a_file_has_no_copy(tmp_path: Path) -> None:
    copy = ConfigurationCopy(None, tmp_path)
    copy.write()
    assert copy.options() == ()
    assert list(tmp_path.iterdir()) == []
