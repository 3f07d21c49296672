"""What a person states about a bundle: misspelt keys, values out of range and labels in another order are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.errors import ModelError
from core.records import Code
from models.bundle.about import check_labels, merge_thresholds, read_about
from models.bundle.config_reader import BundleConfig
from models.bundle.convert import convert
from models.card import Label
from tests.support.monai_bundles import METADATA
from tests.support.monai_classifiers import ABOUT, inference, make_classifier

DEFAULTS = {"score": 0.5, "review_score": 0.8, "most_findings": 20.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temprature = 1.3\n" + ABOUT, "about.toml has an unknown key temprature; did you mean temperature"),
        ("input = 3\n" + ABOUT, "input is a table"),
        ("a = " + "[" * 100_000, "is not TOML"),
    ],
)
def test_a_key_that_is_not_known_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_text(text)
    with pytest.raises(ModelError, match=says):
        read_about(tmp_path / "about.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_bytes(b"\xff" + ABOUT.encode())
    with pytest.raises(ModelError, match="is not TOML"):
        read_about(tmp_path / "about.toml")


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"scroe": 0.9}, "thresholds has an unknown key scroe; known: most_findings, nms_thresh, review_score, score"),
        ({"score": 1.5}, "thresholds.score is a number between 0 and 1, not 1.5"),
        ({"score": float("nan")}, "between 0 and 1, not nan"),
        ({"score": True}, "between 0 and 1, not True"),
        ({"most_findings": -1}, "of at least 0, not -1"),
        ({"most_findings": float("inf")}, "of at least 0, not inf"),
        ({"nms_thresh": "0.2"}, "between 0 and 1, not '0.2'"),
    ],
)
def test_a_threshold_that_is_not_known_or_out_of_range_is_refused(stated: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        merge_thresholds(DEFAULTS, stated, ["nms_thresh"])


def test_thresholds_that_are_stated_take_the_place_of_defaults() -> None:
    found = merge_thresholds(DEFAULTS, {"score": 0.7, "nms_thresh": 0.3}, ["nms_thresh"])
    assert found == {"score": 0.7, "review_score": 0.8, "most_findings": 20.0, "nms_thresh": 0.3}


def labels(*names: str) -> list[Label]:
    return [Label(name, Code("1", "99TEST", name), False, "") for name in names]


def metadata(**names: str) -> BundleConfig:
    """Metadata with the names of the outputs 0, 1, ..."""
    channels = {str(number): name for number, name in enumerate(names.values())}
    return BundleConfig({"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}, "configs/metadata.json")


SOFTMAX = {"activation": "softmax"}
ABOUT_FILE = "about.toml"


def test_labels_stand_in_the_order_of_the_outputs() -> None:
    given, classifier = metadata(a="Bright disc", b="nothing"), {"classes": 2, **SOFTMAX}
    check_labels(labels("bright_disc", "nothing"), classifier, given, ABOUT_FILE)
    check_labels(labels("other", "names"), classifier, given, ABOUT_FILE)
    check_labels(
        labels("nothing", "bright_disc"), classifier, BundleConfig({"network_data_format": "no table"}, "metadata.json"), ABOUT_FILE
    )
    with pytest.raises(ModelError, match=r"'nothing' is label 1, and the bundle names it as output 2.*channel_def.*in the order of"):
        check_labels(labels("nothing", "bright_disc"), classifier, given, ABOUT_FILE)


def test_the_background_is_no_label() -> None:
    organs = {"out_channels": 3, **SOFTMAX}
    given = metadata(a="background", b="liver", c="tumor")
    check_labels(labels("liver", "tumor"), organs, given, ABOUT_FILE)
    with pytest.raises(ModelError, match="'tumor' is label 1, and the bundle names it as output 2"):
        check_labels(labels("tumor", "liver"), organs, given, ABOUT_FILE)
    with pytest.raises(ModelError, match=r"the network has 2 outputs, and about\.toml has 3 \[\[labels\]\]"):
        check_labels(labels("background", "liver", "tumor"), organs, given, ABOUT_FILE)
    check_labels(labels("liver", "tumor"), {"out_channels": 2, "activation": "sigmoid"}, metadata(a="liver", b="tumor"), ABOUT_FILE)


@pytest.mark.parametrize(
    ("about", "channels", "says"),
    [
        (ABOUT + "[thresholds]\nscroe = 0.9\n", {}, "unknown key scroe"),
        (ABOUT + "[thresholds]\nnms_thresh = 0.9\n", {}, "unknown key nms_thresh"),
        ('unit = "series"\n' + ABOUT, {}, "unit is 'image' for this bundle, not 'series'"),
        (ABOUT, {"0": "nothing", "1": "disc"}, "'disc' is label 1, and the bundle names it as output 2"),
    ],
)
def test_an_import_compares_what_is_stated_with_the_bundle(about: str, channels: dict[str, str], says: str, tmp_path: Path) -> None:
    bundle = make_classifier(tmp_path / "zoo" / "bundle", inference(), about)
    described = METADATA | {"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=says):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    assert not (tmp_path / "made" / "card.toml").exists()
