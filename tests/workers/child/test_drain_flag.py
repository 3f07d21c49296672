"""The drain flag across a fork."""

import os

from workers.child.drain_flag import DrainFlag


def test_every_child_sees_the_flag_as_often_as_it_reads_it() -> None:
    flag = DrainFlag()
    assert not flag.is_set()
    (from_child, to_parent), (from_parent, to_child) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # its exit status says what it read: the flag not set at first, then set, twice
        flag.close_writing_end()
        before = flag.is_set()
        os.write(to_parent, b"!")
        os.read(from_parent, 1)
        os._exit(0 if (before, flag.is_set(), flag.is_set()) == (False, True, True) else 1)
    os.read(from_child, 1)  # it has read the flag for the first time
    flag.set()
    os.write(to_child, b"!")
    assert os.waitpid(child, 0)[1] == 0
    assert flag.is_set()


def test_the_flag_is_set_when_the_parent_has_died() -> None:
    flag = DrainFlag()
    flag.close_writing_end()  # the last writing end is closed
    assert flag.is_set()
