"""What a plan may say, and that everything wrong in it is told before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from VQBEGALLib.benchmark import parse_plan, read_plan
from VQBEGALLib.errors import InputError

COHORT = """
[cohorts.ct]
primary = "ct"
primary_labels = "ct_liver"
"""


def plan(text: str):
    head, mark, rest = text.partition("\n[")
    return parse_plan(head + COHORT + mark + rest, Path("/data"))


def test_strategies_become_arms_and_paths_start_at_the_plan():
    found = plan('strategies = ["random", "vq_begal"]\nseeds = [0, 3]\nbudgets = [1, 2.5]')
    assert [(arm.name, arm.strategy, arm.budgets) for arm in found.arms] == [
        ("random", "random", (1.0, 2.5)),
        ("vq_begal", "vq_begal", (1.0, 2.5)),
    ]
    assert found.folder / found.cohorts[0].primary == Path("/data/ct")
    assert found.cohorts[0].auxiliary is None


def test_every_arm_has_its_first_seed_before_any_has_its_second():
    found = plan(
        'strategies = ["random", "egal"]\nseeds = [0, 1]\nbudgets = [5]\n'
        '[[arms]]\nname = "more"\nstrategy = "random"\nseeds = [1]\nbudgets = [50]'
    )
    assert [run.name for run in found.runs()] == [
        "ct/random/seed0",
        "ct/egal/seed0",
        "ct/random/seed1",
        "ct/egal/seed1",
        "ct/more/seed1",
    ]


def test_settings_come_from_preset_plan_cohort_and_arm_in_this_order():
    text = (
        'preset = "tiny"\nstrategies = ["random"]\nbudgets = [5]\n'
        "[settings]\nsteps = 7\nbase_channels = 6\ncodes = 9\n"
        '[cohorts.mr]\nprimary = "mr"\nprimary_labels = "mr_liver"\n'
        'settings = { primary_modality = "MR", auxiliary_modality = "CT", codes = 10 }\n'
        '[[arms]]\nname = "wide"\nstrategy = "random"\nsettings = { base_channels = 12 }\ncohorts = ["mr"]\n'
    )
    found = parse_plan(text, Path())
    run = next(each for each in found.runs() if each.arm.name == "wide")
    config = found.config(run)
    assert (config.training.steps, config.network.base_channels, config.network.codes) == (7, 12, 10)
    assert (config.slices.size, config.slices.primary_modality) == (64, "MR")
    assert config.rounds.plateau_rounds == 0


def test_an_arm_may_be_left_out_of_a_cohort():
    found = parse_plan(
        'strategies = ["random"]\nbudgets = [5]\n' + COHORT + '[cohorts.b]\nprimary = "x"\nprimary_labels = "y"\n'
        '[[arms]]\nname = "one"\nstrategy = "egal"\ncohorts = ["b"]\n',
        Path(),
    )
    assert [run.name for run in found.runs()] == ["ct/random/seed0", "b/random/seed0", "b/one/seed0"]


def test_conditions_take_their_own_levels_where_the_plan_gives_none():
    found = plan(
        'strategies = ["random"]\nbudgets = [5, 9]\n'
        '[robustness]\narms = ["random"]\nconditions = { noise_primary = [], blur_primary = [3] }'
    )
    robust = found.robustness
    assert robust.conditions["blur_primary"] == (3.0,)
    assert len(robust.conditions["noise_primary"]) > 1
    assert [robust.applies(found.arms[0], budget) for budget in (5, 9)] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategies = [", "not TOML"),
        ("budgets = [5]", "no arm"),
        ('strategies = ["random"]', "no budgets"),
        ('strategies = ["nonsense"]\nbudgets = [5]', "no strategy 'nonsense'"),
        ('strategies = ["random"]\nbudgets = [5, 2]', "do not rise"),
        ('strategies = ["random"]\nbudgets = [0]', "do not rise"),
        ('strategies = ["random"]\nbudgets = [101]', "do not rise"),
        ('strategies = ["random"]\nbudgets = 5', "not a list of numbers"),
        ('strategies = ["random"]\nbudgets = [5]\nseeds = [0.5]', "no whole numbers"),
        ('strategies = ["random"]\nbudgets = [5]\nsedes = [0]', "unknown entries: sedes"),
        ('strategies = ["random", "random"]\nbudgets = [5]', "Two parts"),
        ('strategies = ["random"]\nbudgets = [5]\n[settings]\nstepz = 3', "no setting 'stepz'"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\narms = ["egal"]', "egal"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\nconditions = { fog = [1] }', "no condition 'fog'"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\nconditions = { blur_primary = [-1] }', "level"),
        ('budgets = [5]\n[[arms]]\nname = "../up"\nstrategy = "random"', "name of a folder"),
        ('budgets = [5]\n[[arms]]\nname = "a"\nstrategy = "random"\ncohorts = ["pet"]', "pet"),
        ('preset = "huge"\nstrategies = ["random"]\nbudgets = [5]', "huge"),
        ('strategies = ["random"]\nbudgets = [5]\nseeds = [inf]', "no whole numbers"),
        ('strategies = ["random"]\nbudgets = [5]\nseeds = [nan]', "no whole numbers"),
        ('strategies = ["random"]\nbudgets = [nan]', "do not rise"),
        ('budgets = [5]\n[[arms]]\nname = "a"\nstrategy = "random"\n[[arms]]\nname = "A"\nstrategy = "egal"', "case"),
        ('budgets = [5]\n[[arms]]\nname = "a"\nstrategy = "random"\nboundary_noise = -1', "boundary_noise of -1 mm"),
        ('budgets = [5]\n[[arms]]\nname = "a"\nstrategy = "random"\nboundary_noise = nan', "boundary_noise"),
        ('strategies = ["mc_dropout"]\nbudgets = [5]', "needs dropout"),
        ('strategies = ["mc_dropout+stochastic"]\nbudgets = [5]', "needs dropout"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\narms = ["random"]\nbudgets = [6]', "budgets .* 6"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\nconditions = { blur_primary = [nan] }', "level"),
        ('strategies = ["random"]\nbudgets = [5]\n[robustness]\nconditions = { blur_primary = [[1]] }', "no list"),
        (
            'splits = ["validation"]\nstrategies = ["random"]\nbudgets = [5]\n'
            '[robustness]\narms = ["random"]\nconditions = { blur_primary = [1] }',
            "test split",
        ),
        ('splits = ["test", "test"]\nstrategies = ["random"]\nbudgets = [5]', "splits"),
        ('splits = ["train"]\nstrategies = ["random"]\nbudgets = [5]', "splits"),
    ],
)
def test_what_is_wrong_is_told_at_once(text, said):
    with pytest.raises(InputError, match=said):
        plan(text)


def test_cohorts_that_differ_only_in_case_are_told():
    with pytest.raises(InputError, match="case"):
        plan('strategies = ["random"]\nbudgets = [5]\n[cohorts.CT]\nprimary = "a"\nprimary_labels = "b"')


def test_mc_dropout_with_dropout_is_fine():
    found = plan('budgets = [5]\n[[arms]]\nname = "mc_dropout"\nsettings = { dropout = 0.2 }')
    assert found.config(found.runs()[0]).network.dropout == 0.2


def test_a_first_round_is_shared_only_where_it_is_evaluated_in_the_same_way():
    text = 'strategies = ["random", "egal"]\nbudgets = [5]\n'
    first, second = plan(text), plan('splits = ["test"]\n' + text)
    shared = [found.seed_round(run) for found in (first, second) for run in found.runs()]
    assert shared[0] and shared[1] and shared[2]
    assert shared[0].name == shared[1].name != shared[2].name


def test_a_first_round_that_takes_nothing_for_registered_is_another():
    arms = '[[arms]]\nname = "a"\nstrategy = "random"\n[[arms]]\nname = "b"\nstrategy = "random"\n'
    auto, no = (plan(f"budgets = [5]\n{arms}settings = {{ registered = '{value}' }}\n") for value in ("auto", "no"))
    first, second = ([found.seed_round(run).name for run in found.runs()] for found in (auto, no))
    assert first[0] == first[1] == second[0] != second[1]


def test_a_cohort_needs_labels():
    with pytest.raises(InputError, match="primary_labels"):
        parse_plan('strategies = ["random"]\nbudgets = [5]\n[cohorts.ct]\nprimary = "ct"', Path())


def test_a_plan_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_plan(tmp_path / "no.toml")
