"""Derived keys and UIDs: the same on retry, different for every other argument."""

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.uids import IMPLEMENTATION_CLASS_UID, device_uid, job_key, may_be_referred_to, result_uid

HERE, THERE = UUID(int=1), UUID(int=2)
hashes = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=5, unique=True)


@given(hashes, st.randoms())
def test_the_order_of_instances_does_not_change_the_key(items: list[str], random: object) -> None:
    shuffled = sorted(items, key=lambda item: hash((item, id(random))))
    assert job_key("series:1.2:", items, "d") == job_key("series:1.2:", shuffled, "d")


@given(hashes)
def test_the_key_depends_on_unit_content_pipeline_and_run(items: list[str]) -> None:
    keys = {
        job_key("u", items, "d"),
        job_key("v", items, "d"),
        job_key("u", items[:-1], "d"),
        job_key("u", items, "e"),
        job_key("u", items, "d", run=2),
    }
    assert len(keys) == 5


def test_result_uids_are_valid_and_depend_on_every_argument() -> None:
    calls = [
        (HERE, "k", 1, 1, "sr", "sr"),
        (THERE, "k", 1, 1, "sr", "sr"),
        (HERE, "l", 1, 1, "sr", "sr"),
        (HERE, "k", 2, 1, "sr", "sr"),
        (HERE, "k", 1, 2, "sr", "sr"),
        (HERE, "k", 1, 1, "seg", "sr"),
        (HERE, "k", 1, 1, "sr", "other"),
    ]
    uids = [result_uid(*call) for call in calls]
    assert len(set(uids)) == len(calls)
    assert uids == [result_uid(*call) for call in calls]
    for uid in [*uids, device_uid(HERE, "x"), IMPLEMENTATION_CLASS_UID]:
        assert re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid)
        assert len(uid) <= 64


def test_the_device_uid_depends_on_the_model() -> None:
    assert device_uid(HERE, "a" * 64) != device_uid(HERE, "b" * 64)


def test_uids_with_leading_zeros_may_be_referred_to_and_other_text_may_not() -> None:
    assert may_be_referred_to("1.2.840.099.1")
    assert may_be_referred_to("0" * 64)
    for uid in ("", "1.2.", ".1", "1..2", "1" * 65, "1.2\\3", "../1", "1.2\n", "1.2.x"):
        assert not may_be_referred_to(uid), uid
