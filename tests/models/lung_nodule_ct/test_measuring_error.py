"""The measuring error by which changes are judged is that of the card."""

import re

from models import registry
from models.lung_nodule_ct.measuring_error import VOLUME_ERROR


def test_the_error_of_the_volume_is_the_one_that_the_card_states() -> None:
    (sentence,) = [limit for limit in registry.card("lung_nodule_ct").limits if "median error of the volume" in limit]
    found = re.search(r"median error of the volume (\d+) % .*; below (\d+) mm [\d.]+ and (\d+) %", sentence)
    assert found is not None, sentence
    other, small_below, small = (int(number) for number in found.groups())
    assert (VOLUME_ERROR.other, VOLUME_ERROR.small_below_mm, VOLUME_ERROR.small) == (other / 100, small_below, small / 100)
