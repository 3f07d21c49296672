"""Pauses after failures: they double up to a limit, and start again after a success."""

from db.roles.back_off import LONGEST_PAUSE_S, BackOff


def test_pauses_double_up_to_the_limit() -> None:
    back_off = BackOff()
    assert [back_off.next_pause_s() for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_success_starts_again_with_the_shortest_pause() -> None:
    back_off = BackOff()
    back_off.next_pause_s()
    back_off.next_pause_s()
    back_off.reset()
    assert back_off.next_pause_s() == 0.2
