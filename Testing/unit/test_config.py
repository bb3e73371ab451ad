"""Settings are checked when built, survive JSON, and can be changed by name; presets and methods are all valid."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VQBEGALLib.config import (
    METHODS,
    PRESETS,
    Config,
    NetworkSettings,
    RoundSettings,
    SliceSettings,
    TrainingSettings,
    describe,
    locate,
    parse_assignments,
    preset,
)
from VQBEGALLib.errors import InputError

ROWS = describe()
WORDS = st.text("aé ", max_size=5)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = preset(name)
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_small_is_the_default_preset():
    assert preset() == preset("small") == Config()


def test_presets_differ_where_they_say():
    assert preset("tiny").network.codes == 64
    assert (preset("paper").slices.size, preset("paper").network.codes) == (256, 1024)
    assert preset("paper").rounds.round_budget == 100


@pytest.mark.parametrize("method", METHODS)
def test_methods_set_all_their_switches(method):
    data = preset("small", {"method": method}).to_json()
    for key, value in METHODS[method].items():
        section, name = locate(key)
        assert data[section][name] == value


def test_paper_literal_differs_from_the_default():
    assert preset("small", {"method": "paper-literal"}) != preset("small")


@pytest.mark.parametrize("order", [("method", "encoder_sharing"), ("encoder_sharing", "method")])
def test_a_single_switch_overrides_its_method_in_either_order(order):
    changes = {"method": "paper-literal", "encoder_sharing": "deep"}
    config = preset("small", {key: changes[key] for key in order})
    assert config.network.encoder_sharing == "deep"
    assert config.network.codebook_update == "gradient"


@pytest.mark.parametrize("before", METHODS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("base", ["tiny", "small"])
def test_a_method_leaves_nothing_of_the_one_before(base, before, method):
    """But the size of a batch, which presets set as well."""
    kept = {
        "unlabelled_per_step": METHODS[before].get("unlabelled_per_step", preset(base).training.unlabelled_per_step)
    }
    changed = preset(base, {"method": before}).replace({"method": method})
    assert changed == preset(base, {"method": method, **kept, **METHODS[method]})


def test_a_method_leaves_what_no_method_sets():
    changes = {"steps": 7, "code_dim": 32, "modality_dropout": 0.25, "seed": 3, "organ": "spleen"}
    assert preset("small", changes).replace({"method": "default"}) == preset("small", changes)


@pytest.mark.parametrize("key", ["pairing", "slices.pairing"])
def test_what_the_same_changes_say_wins_over_the_method(key):
    config = preset("small", {"method": "paper-literal"}).replace({key: "none", "method": "plain", "coverage": 2})
    assert (config.slices.pairing, config.rounds.coverage, config.training.routing) == ("none", 2, "joint")


@pytest.mark.parametrize(
    ("change", "remedy"),
    [({"pairing": "none"}, "set pairing=relative_position"), ({"registered": "no"}, "set registered=auto")],
)
def test_organs_that_the_auxiliary_lends_need_partners(change, remedy):
    tasks = {"organ": "liver, spleen", "primary_tasks": "liver"}
    with pytest.raises(InputError, match="primary_tasks leaves spleen to the MR") as caught:
        preset("small", {"method": "ciml", **tasks, **change})
    assert remedy in caught.value.remedy
    assert preset("small", {**tasks, **change}).ciml.primary_tasks == "liver"
    assert preset("small", {"method": "ciml", **tasks, **change, "primary_tasks": "spleen,liver"})


@pytest.mark.parametrize(
    ("key", "text", "section", "value"),
    [
        ("steps", "10", "training", 10),
        ("training.steps", "10", "training", 10),
        ("learning_rate", "1e-3", "training", 0.001),
        ("warm_start", "Yes", "training", True),
        ("quantize", "false", "network", False),
        ("ct_window", "-160, 240", "slices", (-160.0, 240.0)),
        ("routing", "soft", "training", "soft"),
    ],
)
def test_text_becomes_the_type_of_the_setting(key, text, section, value):
    found = getattr(getattr(Config().replace({key: text}), section), key.rpartition(".")[2])
    assert found == value
    assert type(found) is type(value)


def test_organ_and_seed_belong_to_the_whole_study():
    config = Config().replace({"organ": "spleen", "seed": "7"})
    assert (config.organ, config.seed) == ("spleen", 7)


def test_replace_leaves_the_original_alone():
    config = Config()
    config.replace({"steps": 1})
    assert config == Config()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_no_setting_takes_a_value_outside_its_choices_or_range(row):
    outside = {"choice": ["nonsense"], "bool": ["perhaps", 2]}.get(row["type"], ["many", None, float("nan")])
    if row["type"] in ("int", "float"):
        outside += [row["low"] - 1, row["high"] + 1]
    if row["type"] == "tuple":
        outside += ["1", "1,2,3", "2,1", "1,x"]
    for value in outside:
        with pytest.raises(InputError) as caught:
            Config().replace({row["name"]: value})
        assert row["name"] in caught.value.problem
        assert caught.value.remedy


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_choice_of_a_switch_is_accepted(row):
    values = row["choices"] or ([True, False] if row["type"] == "bool" else [row["presets"]["small"]])
    for value in values:
        changed = Config().replace({row["name"]: value})
        assert changed.to_json()[row["section"]][row["name"]] == value


@pytest.mark.parametrize(
    "section",
    [
        lambda: SliceSettings(size=100),
        lambda: SliceSettings(mr_percentiles=(-1.0, 99.0)),
        lambda: SliceSettings(ct_window=(5.0, 5.0)),
        lambda: NetworkSettings(stages=1),
        lambda: NetworkSettings(quantize=1),  # type: ignore[arg-type]
        lambda: RoundSettings(round_budget=True),
        lambda: TrainingSettings(steps=1.5),  # type: ignore[arg-type]
    ],
)
def test_sections_refuse_nonsense_when_built(section):
    with pytest.raises(InputError):
        section()


@pytest.mark.parametrize(
    "section",
    [lambda: SliceSettings(ct_window=(float("-inf"), 0.0)), lambda: TrainingSettings(learning_rate=10**400)],
)
def test_sections_refuse_numbers_that_are_not_finite(section):
    with pytest.raises(InputError):
        section()


@pytest.mark.parametrize("changes", [{"organ": " "}, {"seed": -1}, {"seed": 2**32}, {"seed": True}])
def test_config_refuses_nonsense_when_built(changes):
    with pytest.raises(InputError):
        Config(**changes)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().slices.size = 64  # type: ignore[misc]


def test_absent_settings_take_their_defaults():
    assert Config.from_json({"training": {"steps": 5}}) == Config(training=TrainingSettings(steps=5))


@pytest.mark.parametrize(
    "data", [None, [], {"colour": 1}, {"training": []}, {"training": {"stpes": 1}}, {"training": {"steps": None}}]
)
def test_damaged_json_is_refused_in_words(data):
    with pytest.raises(InputError) as caught:
        Config.from_json(data)
    assert caught.value.problem.endswith(".")


@given(
    data=st.dictionaries(
        st.sampled_from(["organ", "seed", "slices", "network", "training", "rounds", "inference", "other"]),
        JSON_VALUES | st.dictionaries(st.sampled_from([row["name"] for row in ROWS]), JSON_VALUES, max_size=3),
        max_size=4,
    )
)
def test_any_json_is_either_a_configuration_or_an_input_error(data):
    try:
        config = Config.from_json(data)
    except InputError:
        return
    assert Config.from_json(json.loads(json.dumps(config.to_json(), allow_nan=False))) == config


@pytest.mark.parametrize("key", ["stpes", "training.size", "network.steps", "nowhere.steps", ""])
def test_unknown_settings_are_refused_by_name(key):
    with pytest.raises(InputError) as caught:
        locate(key)
    assert repr(key) in caught.value.problem


def test_unknown_presets_and_methods_are_refused():
    with pytest.raises(InputError, match="large"):
        preset("large")
    with pytest.raises(InputError, match="magic"):
        preset("small", {"method": "magic"})


def test_assignments_are_split_at_the_first_equals_sign():
    assert parse_assignments(["organ = a=b", "steps=3"]) == {"organ": "a=b", "steps": "3"}


@pytest.mark.parametrize("text", ["steps", "=3", ""])
def test_assignments_without_a_name_or_a_value_are_refused(text):
    with pytest.raises(InputError, match="key=value"):
        parse_assignments([text])


def test_names_are_unique_over_all_sections_so_that_the_short_form_is_clear():
    names = [row["name"] for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_setting_is_documented_in_a_sentence(row):
    assert len(row["doc"]) > 10
    assert row["doc"].endswith(".")
    assert set(row["presets"]) == set(PRESETS)
