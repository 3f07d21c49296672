"""A reload that cannot be carried out changes nothing, and ends neither the node nor a role."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings.node import NodeSection
from core.settings.settings import Settings
from deploy.local.reload_request import ReloadAnswer, answer_file, read_answer, write_answer
from deploy.local.supervisor import Supervisor
from deploy.reload import read_change

UNREADABLE = Path("/proc/self/mem")  # a file that is there and cannot be read, also not by root


def node(tmp_path: Path, config: Path) -> Supervisor:
    """Return the supervisor of a node that is not running."""
    return Supervisor(Settings(node=NodeSection(data_dir=tmp_path / "data")), config)


def test_a_file_that_cannot_be_read_is_a_wrong_configuration() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_change(Settings(), UNREADABLE)


def test_a_node_whose_disk_takes_no_copy_of_the_configuration_goes_on(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}/data"\nae_title = "OTHER"\n')
    supervisor = node(tmp_path, config)
    supervisor._reload()  # the folder of the copy and of the answer does not exist
    assert supervisor.settings.node.ae_title == Settings().node.ae_title
    answer_file(tmp_path / "data").parent.mkdir(parents=True)
    supervisor.config = UNREADABLE
    supervisor._reload()
    assert "cannot be read" in read_answer(tmp_path / "data").error


def test_a_damaged_answer_is_none(tmp_path: Path) -> None:
    """As a power failure leaves it."""
    answer_file(tmp_path).parent.mkdir()
    answer_file(tmp_path).write_text("")
    assert read_answer(tmp_path) == ReloadAnswer(0)
    write_answer(tmp_path, ReloadAnswer(1, ("routes",)))
    assert read_answer(tmp_path) == ReloadAnswer(1, ("routes",))
