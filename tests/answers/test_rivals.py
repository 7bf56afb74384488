"""The large answer's own tables, from records whose answer is known."""

from dataclasses import replace

import diagnoses
import pandas as pd
import pytest
import rivals
from keep import kept, main
from recorded import record, training

from study.answers.asked import ReportOptions
from study.answers.study import Answers, answers_of
from study.records.material import Material, of_file
from study.records.saved import with_study


def answers(hits: dict[str, int], of: int = 40, **about: object) -> Answers:
    """Arms of 40 trials on one task, of which so many reach the target."""
    rows = [
        training([0.1, 0.9 if k < number else 0.2], arm=f"{arm}-t", task="t", k=k, seed_number=0, target=0.5, **about)
        for arm, number in hits.items()
        for k in range(of)
    ]
    return answers_of(Material("s", record(*rows), baseline="momentum-cosine-t"), ReportOptions(draws=2_000))[0]


NAMES = "momentum-cosine", "prodigy", "sgd", "cprop"
FIRST = {"momentum-cosine": 12, "prodigy": 39, "sgd": 2, "cprop": 12}
TURNED = {"momentum-cosine": 12, "prodigy": 2, "sgd": 39, "cprop": 12}


@pytest.fixture(scope="module")
def first():
    return answers(FIRST)


@pytest.fixture(scope="module")
def turned():
    return answers(TURNED)


def test_pairs_are_told_apart_where_their_intervals_leave_out_one(first):
    told = rivals.told_apart(first, NAMES)
    assert told[("prodigy", "sgd")] == told[("momentum-cosine", "prodigy")] == told[("cprop", "prodigy")] == "prodigy"
    assert ("cprop", "momentum-cosine") not in told


def test_only_pairs_that_ran_count_among_those_compared():
    few = answers({"momentum-cosine": 12, "prodigy": 24})
    absent = [f"other-{i}" for i in range(20)]
    alone = rivals.told_apart(few, ["momentum-cosine", "prodigy"])
    assert alone == rivals.told_apart(few, ["momentum-cosine", "prodigy", *absent])
    assert alone == {("momentum-cosine", "prodigy"): "prodigy"}


def test_another_target_is_never_taken_for_the_one_asked_for():
    with pytest.raises(ValueError, match="mnist_logreg, for which no such target is given"):
        rivals.answers("rivals-half.parquet", (("fashion_mlp", 0.9),))


def test_an_order_that_turns_round_with_the_horizon_is_named(first, turned):
    sheet = rivals.horizons({"half": first, "full": turned}, NAMES)
    assert sheet.columns == ["on t", "half", "full"]
    assert [cell.split("; ")[1] for cell in sheet.rows[1][1:]] == ["39 of 40", "2 of 40"]
    assert "prodigy and sgd" in sheet.remarks[0]
    same = rivals.horizons({"half": first, "full": first}, NAMES)
    assert same.remarks[0].endswith("it turns round for none.")


def test_a_claim_holds_where_its_scheme_is_shown_to_cost_less(first, turned):
    def of(every, words):
        return next((row[2] for row in rivals.claims(every).rows if row[0] == words), None)

    words = "CProp needs less tuning than its base"
    assert of([first], words) == "holds on 1 of 1 tasks"
    assert of([turned], words) == "does not hold on 1 of 1 tasks"
    assert of([first, replace(turned, task="u")], words) == "depends on the task"
    assert of([answers({"momentum-cosine": 9, "sgd": 9, "cprop": 9})], words) == "cannot be told"
    assert of([first], "Lion beats Adam") is None  # neither ran


def test_first_trials_are_counted(first):
    assert rivals.first_trials([first]).rows[0] == ["prodigy", "39 of 40 [0.87, 1.00]"]


def test_two_studies_agree_where_the_interval_of_the_ratio_of_their_shares_holds_one(first, turned):
    again = rivals.agreement(first, first)
    assert all(one.low < one.estimate == 1 < one.high for one in again.values())
    apart = rivals.agreement(first, turned)
    assert apart["prodigy"].low > 1 > apart["sgd"].high
    assert apart["cprop"].low < 1 < apart["cprop"].high


def test_only_records_at_common_steps_and_the_last_are_compared():
    table = record(
        training([0.1, 0.2, 0.3], task="t"), training([0.1, 0.2], task="u", k=1), training([0.1], task="v", k=2)
    )
    left = rivals.at_times(table, {"t": {1.0}, "u": {2.0}})
    assert left[["task", "steps"]].to_numpy().tolist() == [["t", 1], ["t", 3], ["u", 2]]


def rates(arm, firsts, lasts, **about):
    rows = [
        training([0.5, score], arm=f"{arm}-t", task="t", k=k, **{"scheme.lr": first, **about}).assign(lr=[first, last])
        for k, (first, (last, score)) in enumerate(zip(firsts, lasts, strict=True))
    ]
    return record(*rows)


def test_last_rates_are_told_against_the_best_constant_one():
    constant = rates("sgd", [0.01, 0.1, 1.0], [(0.01, 0.6), (0.1, 0.9), (1.0, 0.7)])
    learns = rates("hd", [1e-4, 1e-3, 0.5], [(1e-3, 0.6), (3e-3, 0.6), (-0.2, 0.6)])
    (row,) = diagnoses.learned(record(constant, learns), ["hd", "not there"]).rows
    assert row == ["hd", "t", "0.1", "0.001 (0.001 to 0.003)", "-0.2 (-0.2 to -0.2)", "1 of 3", "0 of 3"]


def test_measured_rates_are_those_of_levels_about_one():
    constant = rates("sgd", [0.1, 1.0], [(0.1, 0.9), (1.0, 0.7)])
    table = rates("curvature", [0.2, 0.4], [(0.3, 0.6), (0.6, 0.6)])
    table = table.assign(**{"scheme.level": [1.0, 1.0, 8.0, 8.0], "curvature": [1.0, 10.0, 1.0, 1.0]})
    (row,) = diagnoses.measured(record(constant, table), ["curvature"]).rows
    assert row[2:5] == ["0.1", "0.2 (0.2 to 0.2)", "0.3 (0.3 to 0.3)"]
    assert row[5].startswith("4.8 ")  # 9.1 / 1.9, the percentiles of 1 and 10


def test_a_record_is_kept_without_what_says_nothing():
    told = training([0.1, 0.2]).assign(
        batch_size=8, empty=float("nan"), **{"scheme.eps": 1e-8, "scheme.lr": [1.0, 2.0]}
    )
    left = kept(told)
    assert {"batch_size", "scheme.lr", "valid_score", "chance"} <= set(left)
    assert not {"empty", "scheme.eps"} & set(left)
    pd.testing.assert_frame_equal(left, told[list(left)])


def test_parts_of_a_record_say_what_their_arms_fix(tmp_path):
    """Each arm in a file of its own, where what it fixes is the same in every row; one kept before that was mended."""
    fixed = {
        "a": {"direction": "momentum", "scheme.schedule": "cosine"},
        "b": {"rule": "packaged", "optimizer": "soap"},
    }
    contents = {f"{arm}-t": told | {"searcher": "random", "seeds": 1} for arm, told in fixed.items()}
    text = "{question: q, common: {task: t}, arms: {a: {}, b: {}}}"
    for arm, told in fixed.items():
        rows = record(*(training([0.1, score], arm=f"{arm}-t", k=k, **told) for k, score in enumerate((0.2, 0.3))))
        part = kept(rows, contents)
        assert fixed[arm].keys() <= set(part)
        told = with_study(part if arm == "a" else part.drop(columns=list(fixed[arm])), text, contents)
        told.to_parquet(tmp_path / f"{arm}.parquet")
    whole = of_file(tmp_path).record
    for arm, told in fixed.items():
        (row,) = whole.loc[whole["arm"] == f"{arm}-t", list(told)].drop_duplicates().to_dict("records")
        assert row == told
    assert whole.loc[whole["arm"] == "b-t", ["direction", "scheme.schedule"]].isna().all(axis=None)
    assert "seeds" not in whole


def test_a_record_of_which_trials_run_is_not_kept(tmp_path):
    source, target = tmp_path / "record.csv", tmp_path / "kept.parquet"
    record(training([0.5], arm="a-t"), training([0.4], "running", arm="b-t")).to_csv(source, index=False)
    with pytest.raises(SystemExit, match="trials of b-t run"):
        main(str(source), str(target))
    assert not target.exists()
    with pytest.raises(SystemExit, match=r"holds no arm that fits c-\*"):
        main(str(source), str(target), "c-*")
    main(str(source), str(target), "a-*")
    assert set(pd.read_parquet(target)["arm"]) == {"a-t"}
