"""Work on all cores gives bits that do not depend on other items."""

import pytest
import torch

from models.torch_threads import cpu_threads, map_on_cores


def test_results_are_in_order_and_every_item_has_its_threads() -> None:
    before = torch.get_num_threads()
    found = map_on_cores(lambda number: (number, torch.get_num_threads()), range(20), 1)
    assert found == [(number, 1) for number in range(20)]
    assert map_on_cores(lambda number: number, [], 1) == []
    assert torch.get_num_threads() == before


def test_the_bits_are_those_of_an_item_computed_alone() -> None:
    net = torch.nn.Conv2d(8, 16, 3)
    images = torch.randn(12, 2, 8, 40, 40)

    def work(number: int) -> torch.Tensor:
        with torch.inference_mode():
            return net(images[number]).sum(dim=(2, 3))

    with cpu_threads(1):
        alone = [work(number) for number in range(12)]
    together = map_on_cores(work, range(12), 1)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_an_error_of_one_item_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        map_on_cores(lambda number: 1 // number, [1, 0, 2], 1)
