"""Statistics of a benchmark against closed forms and against scipy on hand-made pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from Testing.benchmark_results import (
    BUDGETS,
    CURVES,
    OF_PATIENT,
    OF_SEED,
    WOBBLE,
    noisy,
    patients_table,
    rounds_table,
)
from VQBEGALLib.benchmark import comparisons, statistics
from VQBEGALLib.errors import InputError


def one(table: pd.DataFrame, **where: object) -> pd.Series:
    """The only row with these values."""
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return patients_table(CURVES, wobble=WOBBLE)


def test_each_seed_is_the_mean_over_its_patients(patients):
    found = statistics.by_seed(patients)
    assert len(found) == len(CURVES) * 4 * len(BUDGETS)
    row = one(found, arm="vq_begal", seed=1, budget=5.0)
    assert row["dice"] == pytest.approx(0.88 + OF_SEED[1] + WOBBLE["vq_begal"][1])
    assert (row["patients"], row["slices"], row["failed"]) == (5, 50, 0)
    assert row["hd95"] == pytest.approx(12)


def test_a_curve_is_mean_and_deviation_over_seeds(patients):
    row = one(statistics.curve(patients), arm="random", budget=10.0)
    assert row["dice"] == pytest.approx(0.89)
    assert row["dice_sd"] == pytest.approx(np.sqrt(sum(value**2 for value in OF_SEED) / 3))
    assert row["seeds"] == 4


def test_one_seed_has_no_deviation():
    found = statistics.curve(patients_table({"a": (0.5,) * 6}, seeds=1))
    assert found["dice_sd"].isna().all()


def test_the_median_patient_is_the_median_of_means_over_seeds():
    table = patients_table({"a": (0.5,)}, budgets=(1.0,), seeds=2)
    table["dice"] = [0.1, 0.2, 0.3, 0.4, 0.9, 0.9, 0.4, 0.5, 0.0, 0.1]
    assert statistics.curve(table)["dice_median"].tolist() == pytest.approx([0.4])  # of .5, .3, .4, .2, .5


def test_a_view_takes_one_evaluation_and_refuses_doubles_and_gaps(patients):
    both = pd.concat([patients, patients.assign(auxiliary="any"), patients.assign(split="validation")])
    assert len(statistics.view(both)) == len(patients)
    assert set(statistics.view(both, auxiliary="any")["auxiliary"]) == {"any"}
    with pytest.raises(InputError, match="twice"):
        statistics.view(pd.concat([patients, patients.head(1)]))
    with pytest.raises(InputError, match="lacks hd95"):
        statistics.view(patients.drop(columns="hd95"))


def test_the_area_of_straight_lines_is_their_middle():
    grid = (1.0, 2.0, 4.0, 16.0)
    linear = tuple(0.5 + 0.01 * budget for budget in grid)
    logarithmic = tuple(0.5 + 0.05 * np.log2(budget) for budget in grid)
    flat = (0.7,) * 4
    table = patients_table({"linear": linear, "log": logarithmic, "flat": flat}, budgets=grid)
    found = statistics.area(table, {"ct": grid})
    assert one(found, arm="linear")["area"] == pytest.approx(0.5 + 0.01 * (1 + 16) / 2)
    assert one(found, arm="log")["area_log2"] == pytest.approx(0.5 + 0.05 * (0 + 4) / 2)
    assert one(found, arm="flat")[["area", "area_log2"]].tolist() == pytest.approx([0.7, 0.7])
    assert one(found, arm="flat")["area_sd"] == pytest.approx(np.std(OF_SEED, ddof=1))


def test_areas_are_taken_over_the_reference_arms_budgets_and_incomplete_seeds_have_none(patients):
    late = patients_table({"late": (0.9, 0.9)}, budgets=(20.0, 40.0))
    more = patients_table({"random": (0.96,)}, budgets=(50.0,))
    part = patients[~((patients["arm"] == "egal") & (patients["seed"] == 3) & (patients["budget"] == 40))]
    table = pd.concat([part, late, more])
    assert statistics.common_budgets(table) == {"ct": list(BUDGETS)}
    found = statistics.area(table)
    assert one(found, arm="egal")["seeds"] == 3
    assert one(found, arm="random")["area"] == pytest.approx(one(statistics.area(patients), arm="random")["area"])
    assert "late" not in set(found["arm"])


def test_budgets_without_the_reference_are_those_of_most_arms():
    table = pd.concat(
        [
            patients_table({"a": (0.5, 0.6), "b": (0.5, 0.6)}, budgets=(1.0, 2.0)),
            patients_table({"c": (0.5, 0.6)}, budgets=(1.0, 5.0)),
            patients_table({"all": (0.9,)}, budgets=(100.0,)),
        ]
    )
    assert statistics.common_budgets(table) == {"ct": [1.0, 2.0]}
    assert statistics.common_budgets(table[table["arm"] == "all"]) == {"ct": []}
    assert statistics.area(table[table["arm"] == "all"]).empty


def test_holm_against_an_example_by_hand():
    # .005 × 4, .01 × 3, .03 × 2, .04 × 1 raised to .06
    assert comparisons.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparisons.holm([0.9, 0.6]).tolist() == [1.0, 1.0]
    found = comparisons.holm([0.02, np.nan, 0.03])
    assert np.isnan(found[1])
    assert found[[0, 2]].tolist() == pytest.approx([0.04, 0.04])
    assert comparisons.holm([]).tolist() == []


def test_seeds_are_compared_by_students_t_on_their_differences(patients):
    found = comparisons.paired_tests(patients)
    row = one(found, arm="vq_begal", measure="dice", budget=5.0)
    differences = 0.03 + np.asarray(WOBBLE["vq_begal"])
    error = stats.sem(differences)
    half = stats.t.ppf(0.975, 3) * error
    assert row["n"] == 4
    assert row["difference"] == pytest.approx(0.03)
    assert (row["low"], row["high"]) == pytest.approx((0.03 - half, 0.03 + half))
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.03 / error, 3))
    assert (row["arm_mean"], row["reference_mean"]) == pytest.approx((0.88, 0.85))


def test_the_correction_counts_the_rivals_of_a_cohort_and_budget(patients):
    other = patients_table(CURVES, cohort="mr", wobble=WOBBLE)
    found = comparisons.paired_tests(pd.concat([patients, other]))
    at = found[(found["cohort"] == "ct") & (found["budget"] == 5.0)]
    assert at["p"].isna().tolist() == [False, True, False]  # egal, random (the same difference in every seed), vq_begal
    tested = at.dropna(subset="p")
    assert sorted(tested["p_holm"]) == pytest.approx(sorted(comparisons.holm(tested["p"].to_numpy())))
    assert tested["p_holm"].min() == pytest.approx(2 * tested["p"].min())
    alone = comparisons.paired_tests(patients, arms=["vq_begal"])
    assert set(alone["arm"]) == {"vq_begal"}
    assert alone["p_holm"].tolist() == pytest.approx(alone["p"].tolist(), nan_ok=True)


def test_areas_are_compared_too(patients):
    found = comparisons.paired_tests(patients)
    means = statistics.area(patients)
    for name in statistics.AREAS:
        row = one(found, arm="vq_begal", measure=name)
        assert np.isnan(row["budget"])
        expected = one(means, arm="vq_begal")[name] - one(means, arm="random_foreground")[name]
        assert row["difference"] == pytest.approx(expected)
        assert row["p"] < 0.01


def test_only_common_seeds_count_and_two_are_too_few_for_a_test(patients):
    few = patients[(patients["arm"] != "vq_begal") | (patients["seed"] >= 2)]
    row = one(comparisons.paired_tests(few), arm="vq_begal", measure="dice", budget=1.0)
    assert row["n"] == 2
    assert row["difference"] == pytest.approx(sum(WOBBLE["vq_begal"][2:]) / 2)
    assert row[["low", "high", "p", "p_holm"]].isna().all()
    assert row["reference_mean"] == pytest.approx(0.7 + sum(OF_SEED[2:]) / 2)


def test_patients_are_compared_by_wilcoxon_on_their_means_over_seeds(patients):
    gain = dict(zip(OF_PATIENT, (0.01, 0.02, 0.03, -0.005, 0.04), strict=True))
    table = patients.copy()
    ours = table["arm"] == "vq_begal"
    table.loc[ours, "dice"] += table.loc[ours, "patient"].map(gain)
    row = one(comparisons.paired_tests(table, over="patient"), arm="vq_begal", measure="dice", budget=1.0)
    assert row["n"] == 5
    assert row["difference"] == pytest.approx(np.mean(list(gain.values())))
    assert row["p"] == pytest.approx(4 / 32)  # of 32 signs, {} and {1} have rank sums as small as 1, and their mirrors
    assert np.isnan(row["low"])


def test_an_arm_that_never_differs_has_no_p(patients):
    twin = pd.concat([patients, patients[patients["arm"] == "random_foreground"].assign(arm="twin")])
    for over in ("seed", "patient"):
        rows = comparisons.paired_tests(twin, over=over).query("arm == 'twin'")
        assert rows["difference"].abs().max() < 1e-12
        assert rows["p"].isna().all()


def test_without_the_reference_there_is_nothing_to_compare(patients):
    assert comparisons.paired_tests(patients[patients["arm"] != "random_foreground"]).empty


def test_slices_to_reach_are_interpolated_on_the_mean_curve(patients):
    ceiling = patients_table({"all": (0.94,)}, budgets=(100.0,))
    found = comparisons.slices_to_reach(pd.concat([patients, ceiling]), within=0.01)
    row = one(found, arm="vq_begal")
    assert row["target"] == pytest.approx(0.93)
    assert row["slices"] == pytest.approx(150)  # half way from .92 at 100 to .94 at 200
    assert row["budget"] == pytest.approx(15)
    assert row["ratio"] == pytest.approx(150 / 200)
    assert one(found, arm="random_foreground")["ratio"] == 1
    assert one(found, arm="random")["slices"] == pytest.approx(300)
    assert "all" not in set(found["arm"])


def test_slices_to_reach_by_seed(patients):
    ceiling = patients_table({"all": (0.94,)}, budgets=(100.0,))
    found = comparisons.slices_to_reach(pd.concat([patients, ceiling]), within=0.01)

    def crossing(curve, offset):
        slices = [10 * budget for budget in BUDGETS]
        return np.interp(0.93 - offset, curve, slices)

    ours = [crossing(CURVES["vq_begal"], OF_SEED[k] + WOBBLE["vq_begal"][k]) for k in range(4)]
    base = [crossing(CURVES["random_foreground"], OF_SEED[k]) for k in range(4)]
    row = one(found, arm="vq_begal")
    assert (row["seeds"], row["reached"]) == (4, 4)
    assert row["median"] == pytest.approx(np.median(ours))
    logs = np.log(np.asarray(ours) / base)
    assert row["ratio_seeds"] == pytest.approx(np.exp(logs.mean()))
    assert row["p"] == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    assert row["ratio_low"] < row["ratio_seeds"] < row["ratio_high"]
    assert np.isnan(one(found, arm="random_foreground")["p"])


def test_what_is_never_reached_is_no_number(patients):
    ceiling = patients_table({"all": (0.966,)}, budgets=(100.0,))
    row = one(comparisons.slices_to_reach(pd.concat([patients, ceiling])), arm="vq_begal")
    assert (row["seeds"], row["reached"]) == (4, 1)  # of .962, .938, .955 and .945 one reaches .956
    assert row[["slices", "median", "ratio", "ratio_seeds", "p"]].isna().all()
    assert comparisons.slices_to_reach(patients).empty


def test_what_is_reached_at_once_counts_with_at_most_the_first_budget_and_has_no_ratio(patients):
    ceiling = patients_table({"all": (0.6,)}, budgets=(100.0,))
    found = comparisons.slices_to_reach(pd.concat([patients, ceiling]))
    assert set(found["slices"]) == set(found["reference_slices"]) == {10}
    assert found["at_first"].all() and found["reference_at_first"].all()
    assert found[["ratio", "ratio_below", "ratio_seeds", "p"]].isna().all(axis=None)


def test_slices_to_reach_rest_on_seeds_complete_in_both_arms(patients):
    late = (patients["arm"] == "random_foreground") & (patients["seed"] == 3) & (patients["budget"] > 5)
    ceiling = patients_table({"all": (0.94,)}, budgets=(100.0,))
    found = comparisons.slices_to_reach(pd.concat([patients[~late], ceiling]))
    row, three = one(found, arm="vq_begal"), patients[patients["seed"] < 3]
    means = {arm: three[three["arm"] == arm].groupby("budget")["dice"].mean().to_numpy() for arm in CURVES}
    slices = [10 * budget for budget in BUDGETS]
    assert row["slices"] == pytest.approx(np.interp(0.93, means["vq_begal"], slices))
    assert row["reference_slices"] == pytest.approx(np.interp(0.93, means["random_foreground"], slices))
    assert row["ratio"] == pytest.approx(row["slices"] / row["reference_slices"])
    assert (row["seeds"], row["reached"], row["reference_reached"]) == (3, 3, 3)
    assert one(found, arm="random_foreground")["slices"] == pytest.approx(row["reference_slices"])


def test_an_arm_without_seeds_of_the_reference_stands_by_itself(patients):
    other = patients[(patients["arm"] != "random_foreground") | (patients["seed"] == 0)]
    other = other[(other["arm"] != "vq_begal") | (other["seed"] > 0)]
    ceiling = patients_table({"all": (0.94,)}, budgets=(100.0,))
    row = one(comparisons.slices_to_reach(pd.concat([other, ceiling])), arm="vq_begal")
    assert (row["seeds"], row["reached"]) == (3, 3)
    assert np.isfinite(row["slices"])
    assert row[["reference_slices", "reference_reached", "ratio", "ratio_below", "p"]].isna().all()


def test_robustness_starts_from_the_clean_dice(patients):
    table = pd.concat([patients, noisy(patients, ["egal"], [0.1, 0.2])])
    found = statistics.robustness(table)
    assert found["level"].tolist() == [0, 0.1, 0.2]
    assert found["dice"].tolist() == pytest.approx([0.945, 0.845, 0.745])
    assert set(found["condition"]) == {"noise_primary"}
    own = pd.concat([table, noisy(patients, ["egal"], [0.0]).assign(dice=0.5)])
    assert statistics.robustness(own)["dice"].tolist() == pytest.approx([0.5, 0.845, 0.745])
    assert statistics.robustness(patients).empty


def test_costs_are_seconds_a_round_and_a_run(patients):
    rounds = rounds_table(patients)
    rounds.loc[rounds["arm"] == "egal", "select_seconds"] = 8.0
    row = one(statistics.costs(rounds), arm="egal")
    assert (row["runs"], row["rounds"], row["strategy"]) == (4, 4 * 6, "egal")
    assert row[["select_seconds", "train_seconds", "evaluate_seconds"]].tolist() == [8, 60, 8]
    assert row["total_seconds"] == pytest.approx(6 * 76)


def test_a_first_round_without_selection_counts_nothing_for_it(patients):
    rounds = rounds_table(patients[patients["arm"].isin(["egal", "random"])]).astype({"select_seconds": object})
    rounds.loc[(rounds["round"] == 0) | (rounds["arm"] == "random"), "select_seconds"] = None
    found = statistics.costs(rounds)
    assert one(found, arm="egal")["select_seconds"] == 2
    assert one(found, arm="egal")["total_seconds"] == pytest.approx(6 * 68 + 5 * 2)
    assert np.isnan(one(found, arm="random")["select_seconds"])
    assert one(found, arm="random")["total_seconds"] == pytest.approx(6 * 68)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_come_back_as_they_were_written(tmp_path, patients, kind):
    table = patients.assign(patient=patients["patient"].str.replace("p", "00"))
    getattr(table, f"to_{kind}")(tmp_path / f"patients.{kind}", index=False)
    found = statistics.read_table(tmp_path, "patients")
    assert set(found["organ"]) == {""}  # as tables of earlier versions have none
    pd.testing.assert_frame_equal(found.drop(columns="organ"), table, check_dtype=False)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_mean_over_the_organs_is_what_counts_and_each_organ_can_be_asked_for(tmp_path, patients, kind):
    table = pd.concat([patients.assign(organ=organ, dice=dice) for organ, dice in {"": 0.7, "liver": 0.9}.items()])
    getattr(table, f"to_{kind}")(tmp_path / f"patients.{kind}", index=False)
    found = statistics.read_table(tmp_path, "patients")
    assert set(statistics.view(found)["dice"]) == {0.7}
    assert set(statistics.view(found, organ="liver")["dice"]) == {0.9}
    assert len(statistics.view(found)) == len(statistics.view(patients))


def test_costs_tell_parameters_and_memory_where_they_are_known(patients):
    rounds = rounds_table(patients)
    assert np.isnan(one(statistics.costs(rounds), arm="egal")["parameters"])
    sized = rounds.assign(parameters=100, parameters_trained=120, train_memory_mib=np.where(rounds["round"] == 0, 8, 2))
    found = one(statistics.costs(sized), arm="egal")
    assert (found["parameters"], found["parameters_trained"]) == (100, 120)
    assert found["train_memory_mib"] == pytest.approx((8 + 5 * 2) / 6)


def test_a_missing_or_damaged_table_is_said(tmp_path):
    with pytest.raises(InputError, match="no table of rounds"):
        statistics.read_table(tmp_path, "rounds")
    (tmp_path / "rounds.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        statistics.read_table(tmp_path, "rounds")
