"""One round at the coordinator: an answer that states no numbers is refused, and the round goes on with the others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel
from safetensors.numpy import load_file, save_file

from training.federated.plan import FederatedPlan
from training.federated.round_controller import AVERAGED, PLAN_FILE, ROUND, SENT, RoundController
from training.federated.site_executor import IMAGES, LOSS


class _Round(RoundController):
    """The controller with the answers of the sites as they are given, in place of FLARE's connections."""

    def __init__(self, folder: Path, answers: list[FLModel]) -> None:
        super().__init__(0)
        self._folder, self._answers = folder, answers

    def get_app_dir(self) -> str:
        return str(self._folder)

    def get_run_dir(self) -> str:
        return str(self._folder)

    def send_model_and_wait(self, **_given: Any) -> list[FLModel]:
        return self._answers

    def warning(self, _text: str, **_more: Any) -> None:
        """FLARE logs it with a context that only its own processes have."""


def answer(site: str, **meta: Any) -> FLModel:
    return FLModel(params={"bias": np.ones(3, np.float32)}, meta={"client_name": site, IMAGES: 100, LOSS: 0.5} | meta)


@pytest.mark.parametrize("stated", [{LOSS: "low"}, {LOSS: None}, {LOSS: float("inf")}, {IMAGES: 10**400}, {IMAGES: "many"}, {IMAGES: None}])
def test_a_site_that_states_no_number_does_not_end_the_round_of_the_others(stated: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    FederatedPlan().write(tmp_path / "config" / PLAN_FILE)
    save_file({"bias": np.zeros(3, np.float32)}, tmp_path / "config" / SENT)
    _Round(tmp_path, [answer("a"), answer("b"), answer("c", **stated)]).run()
    report = json.loads((tmp_path / ROUND).read_text(encoding="utf-8"), parse_constant=pytest.fail)  # NaN is no JSON
    assert {"a", "b"} <= set(report["accepted"])
    assert ("c" in report["refused"]) == (IMAGES in stated)
    assert load_file(tmp_path / AVERAGED)["bias"] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("difference", [np.array(["a", "b", "c"]), np.array([None, 1.0, 2.0], object), np.zeros(3, "datetime64[s]"),
                                        np.ones(3, np.int64), np.ones(3, bool), np.full(3, 1e308), np.ones(2, np.float32)])  # fmt: skip
def test_a_site_that_sends_other_types_is_refused_and_does_not_end_the_round(difference: np.ndarray, tmp_path: Path) -> None:
    """Text of the right shape could not be added to the weights, which ended the round of all sites."""
    (tmp_path / "config").mkdir()
    FederatedPlan().write(tmp_path / "config" / PLAN_FILE)
    save_file({"bias": np.zeros(3, np.float32)}, tmp_path / "config" / SENT)
    strange = FLModel(params={"bias": difference}, meta={"client_name": "c", IMAGES: 100, LOSS: 0.5})
    _Round(tmp_path, [answer("a"), answer("b"), strange]).run()
    report = json.loads((tmp_path / ROUND).read_text(encoding="utf-8"))
    assert (set(report["accepted"]), set(report["refused"])) == ({"a", "b"}, {"c"})
    assert load_file(tmp_path / AVERAGED)["bias"] == pytest.approx([1.0] * 3)
