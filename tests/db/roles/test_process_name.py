"""The name of a process: of its host, and of its own number also after a fork."""

import multiprocessing
import os
import socket

from db.roles.process_name import host_name, process_name


def test_host_and_process_number() -> None:
    assert process_name() == f"{socket.gethostname()}:{os.getpid()}"
    assert process_name().rpartition(":")[0] == host_name()


def test_a_child_process_has_a_name_of_its_own() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        child = pool.apply(process_name)
    assert child != process_name()
    assert child.startswith(f"{host_name()}:")
