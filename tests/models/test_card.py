"""Cards are read strictly and written back unchanged."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ModelError
from models import registry
from models.card import identity, parse_card, read_card
from models.card_writer import render_card


@pytest.fixture(params=registry.names())
def text(request: pytest.FixtureRequest) -> str:
    return (registry.folder(request.param) / "card.toml").read_text(encoding="utf-8")


def test_a_written_card_reads_back_equal(text: str) -> None:
    card = parse_card(text)
    assert parse_card(render_card(card)) == card


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('colour = "red"\n', "unknown key colour"),
        ("temprature = 2.0\n", "unknown key temprature"),
        ("weights_sha256 = 5\n", "not TOML"),
    ],
)
def test_an_unknown_or_repeated_key_is_refused(text: str, line: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        parse_card(line + text)


@pytest.mark.parametrize("digest", ["", "abc", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_hash_of_wrong_length_or_letters_is_refused(text: str, digest: str) -> None:
    known = parse_card(text).weights_sha256
    with pytest.raises(ModelError, match="64 lower-case hex digits"):
        parse_card(text.replace(known, digest))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('status = "research"', 'status = "approved"', "status is one of research, clinical"),
        ('task = "', 'task = "x', "task is one of"),
        ('unit = "', 'unit = "x', "unit is one of"),
        ('weights = "weights.safetensors"', 'weights = "../weights.safetensors"', "beside the card"),
        ('weights = "weights.safetensors"', 'weights = "weights.pt"', "safetensors"),
        ('version = "', 'serial = "', "unknown key serial"),
        ("high = 0.85\n", "high = 0.5\n", "review <= high"),
        ("high = 0.85\n", "hihg = 0.85\n", "tiers: unknown key hihg"),
        ("high = 0.85\n", 'high = "0.85"\n', r"tiers\.high: a number is expected, not a text"),
        ("malignant = true", "malignant = 1", r"labels\[0\]\.malignant: true or false is expected, not a whole number"),
        ("scheme = ", "schema = ", r"labels\[0\]\.code: unknown key schema; known: meaning, scheme, value"),
        ("[[labels]]", "[[label]]", "unknown key label"),
    ],
)
def test_a_wrong_value_is_named(old: str, new: str, says: str) -> None:
    text = (registry.folder("dermoscopy_7class") / "card.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(ModelError, match=says):
        parse_card(text.replace(old, new))


@pytest.mark.parametrize("key", ["name", "version", "title", "manufacturer"])
@pytest.mark.parametrize("text", ["A\\\\B", "", " ", "two\\nlines"])
def test_a_text_that_would_make_result_objects_invalid_is_refused(key: str, text: str, tmp_path: Path) -> None:
    lines = (registry.folder("dermoscopy_7class") / "card.toml").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "card.toml"
    path.write_text("\n".join(f'{key} = "{text}"' if line.startswith(f"{key} = ") and n < 10 else line for n, line in enumerate(lines)))
    with pytest.raises(ModelError, match=rf"card\.toml: .*{key} is one line of text without backslash, not ") as caught:
        read_card(path)
    assert f"state {key} in the file that describes it" in str(caught.value)


def test_a_title_is_no_longer_than_result_objects_can_hold() -> None:
    card = parse_card((registry.folder("dermoscopy_7class") / "card.toml").read_text(encoding="utf-8"))
    assert parse_card(render_card(replace(card, title="t" * 900))).title == "t" * 900
    with pytest.raises(ModelError, match="title has at most 900 characters, not 901"):
        replace(card, title="t" * 901)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_limit_that_is_no_number_is_refused(value: str) -> None:
    """Nothing is above a limit of NaN: nothing would be found."""
    card = parse_card((registry.folder("dermoscopy_7class") / "card.toml").read_text(encoding="utf-8"))
    with pytest.raises(ModelError, match=r"thresholds\.min_contrast is a finite number"):
        replace(card, thresholds={**card.thresholds, "min_contrast": float(value)})
    with pytest.raises(ModelError, match="temperature is above 0"):
        replace(card, temperature=float(value))


@pytest.mark.parametrize("sentence", ["", " "])
def test_empty_sentences_are_refused(sentence: str) -> None:
    card = parse_card((registry.folder("dermoscopy_7class") / "card.toml").read_text(encoding="utf-8"))
    with pytest.raises(ModelError, match="limits are sentences, none of them empty"):
        replace(card, limits=("One.", sentence))
    with pytest.raises(ModelError, match="not_for must say"):
        replace(card, not_for=sentence)


def test_a_missing_key_is_named(text: str) -> None:
    kept = [line for line in text.splitlines() if not line.startswith("not_for")]
    with pytest.raises(ModelError, match="missing not_for"):
        parse_card("\n".join(kept))


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    with pytest.raises(ModelError, match=r"card\.toml cannot be read"):
        read_card(path)
    path.write_text("name = \n")
    with pytest.raises(ModelError, match=r"card\.toml: not TOML"):
        read_card(path)


def test_the_identity_has_the_values_of_the_card(text: str) -> None:
    card = parse_card(text)
    who = identity(card, "d" * 64)
    assert (who.name, who.version, who.digest, who.status) == (card.name, card.version, "d" * 64, "research")
    assert who.not_for == card.not_for != ""


def test_label_by_name(text: str) -> None:
    card = parse_card(text)
    assert card.label(card.labels[0].name) is card.labels[0]
    with pytest.raises(ModelError, match="no label 'wart'"):
        card.label("wart")


def test_the_rule_for_derived_series(text: str) -> None:
    assert parse_card(text).derived == "note"
    strict = parse_card(text + '\n[input]\nderived = "refuse"\n')
    assert (strict.derived, strict.tilt) == ("refuse", "refuse")
    assert parse_card(render_card(strict)) == strict
    with pytest.raises(ModelError, match=r"input\.derived is one of note, refuse"):
        parse_card(text + '\n[input]\nderived = "drop"\n')


def test_the_rule_for_tilted_series(text: str) -> None:
    assert parse_card(text).tilt == "refuse"
    allows = parse_card(text + '\n[input]\ntilt = "resample"\n')
    assert allows.tilt == "resample"
    assert parse_card(render_card(allows)) == allows
    with pytest.raises(ModelError, match=r"input\.tilt is one of refuse, resample"):
        parse_card(text + '\n[input]\ntilt = "rotate"\n')


def test_small_tables_of_the_third_level_are_rows_of_their_parent(text: str) -> None:
    card = replace(
        parse_card(text),
        metrics={
            "n": 2,
            "by_site": {"a.b, [c]": {"n": 1, "range": [0.1, 0.2]}, "back": {"n": 1, "deeper": {"auc": 0.5}}},
            "external": {"n": 3, "source": 'a "quoted" text = [x]'},
        },
    )
    written = render_card(card)
    assert parse_card(written) == card
    assert tomllib.loads(written)["metrics"] == {**card.metrics}
    assert '\n"a.b, [c]" = { n = 1, range = [0.1, 0.2] }\n' in written
    assert "\ndeeper = { auc = 0.5 }\n" in written
    assert "\n[metrics.external]\nn = 3\n" in written
