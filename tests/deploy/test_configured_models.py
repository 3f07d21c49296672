"""The models of the routes, when a role starts: installed, and of series where their results are compared with earlier ones."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.configured_models import check_models
from deploy.doctor.configuration import check_settings

PRIORS = {"count": 1, "within_days": 1825, "same": ["Modality", "BodyPartExamined"]}  # as the public interface writes it


def settings_with(folder: Path, model: str) -> Settings:
    route = {"name": "one", "model": model, "destinations": ["out"], "when": {"Modality": "CT"}, "priors": PRIORS}
    out = {"name": "out", "folder": "/nowhere", "accept_research": True}
    return Settings.model_validate({"node": {"data_dir": str(folder)}, "destinations": [out], "routes": [route]})


@pytest.mark.parametrize("model", ["lung_nodule_ct", "lung_histology_ct"])
def test_results_of_series_are_compared(tmp_path: Path, model: str) -> None:
    settings = settings_with(tmp_path, model)
    check_models(settings)
    assert all(check.ok for check in check_settings(settings) if check.name == "route one")


def test_a_model_of_photographs_is_refused_with_the_reason(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "dermoscopy_7class")
    with pytest.raises(ConfigurationError, match="route 'one': priors is for models of series, and dermoscopy_7class takes single images"):
        check_models(settings)
    (check,) = [check for check in check_settings(settings) if check.name == "route one"]
    assert (check.ok, check.fix) == (False, "remove the key `priors` from this route")


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names model 'absent', which is neither shipped nor installed"):
        check_models(settings_with(tmp_path, "absent"))
