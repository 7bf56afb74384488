"""Costs in measured gradients: passes at the measured price of one, or a refusal that says why there is none."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from recorded import record, training

from study.answers.study import Answers, ReportOptions, answers_of
from study.answers.summary import Options, summarize
from study.records import own
from study.records.material import Material
from study.records.question import Question
from study.records.source import source_of
from study.records.trials import trials
from trainables.price import Price, read, written
from trainables.refusal import Refusal

HITS = {"target": 0.5}


def priced(gradients: float, passes: float = 1.0, device: str = "cpu", **of: Any) -> Price:
    return Price(device, device, gradients, passes, 20, of=of)


def material(**prices: Sequence[Price]) -> Material:
    """Two arms of four trials; one in two of `a` reaches the target, every one of `b`."""
    of_a = [training([0.2, 0.2 + 0.4 * (k % 2)], arm="a", k=k, **HITS) for k in range(4)]
    of_b = [training([0.3, 0.6], arm="b", k=k, **HITS) for k in range(4)]
    return Material("s", record(*of_a, *of_b), baseline="a", prices={arm: list(of) for arm, of in prices.items()})


def answers(given: Material, unit: str = "passes") -> Answers:
    return answers_of(given, ReportOptions(unit=unit, draws=100))[0]


def test_a_cost_in_gradients_is_that_in_passes_times_the_measured_price_of_a_pass() -> None:
    told = answers(material(a=[priced(1.5)], b=[priced(6.0, 2.0)]))
    for scheme, factor in (("a", 1.5), ("b", 3.0)):
        passes, gradients = (told.paid[scheme][unit].cost for unit in ("passes", "gradients"))
        assert [gradients.estimate, gradients.low] == pytest.approx([factor * passes.estimate, factor * passes.low])
    shares = [told.paid["b"][unit].share.estimate for unit in ("passes", "gradients")]
    assert shares[1] == pytest.approx(2 * shares[0])


def test_asked_for_in_gradients_every_answer_is_in_them() -> None:
    given = material(a=[priced(1.5)], b=[priced(3.0)])
    told, source = answers(given, "gradients"), source_of(given, "gradients")
    assert [result.expected_cost.unit for result in told.results] == ["gradients"] * 2
    of_cost = summarize(source.given.table, Options(source.question, "a", unit="gradients", draws=100))
    assert [one.expected_cost.estimate for one in of_cost] == [one.expected_cost.estimate for one in told.results]


def test_the_dearest_trial_is_planned_in_gradients_too() -> None:
    table = own.of_record(training([0.2, 0.3], epochs=4.0), "gradients", priced={"a": [priced(1.5)]})
    assert trials(table, Question())["dearest"].tolist() == [6.0]


def test_a_saved_record_of_more_than_a_hundred_columns_gets_its_gradients_without_a_word() -> None:
    """Columns read one by one from a file, of which pandas warns where another joins them; a warning fails a test."""
    told = training([0.2, 0.3])
    wide = pd.concat([told, *(pd.Series("x", told.index, name=f"optimizer.{n}") for n in range(101))], axis=1)
    assert own.of_record(wide, "gradients", priced={"a": [priced(1.5)]})["cost"].tolist() == [1.5, 3.0]


def test_a_price_holds_for_the_sizes_that_it_was_measured_at() -> None:
    rows = record(training([0.2], k=0, batch_size=16), training([0.2], k=1, batch_size=64))
    prices = {"a": [priced(2.0, batch_size=16), priced(1.25, batch_size=64)]}
    assert own.of_record(rows, "gradients", priced=prices)["cost"].tolist() == [2.0, 1.25]


@pytest.mark.parametrize(
    ("of_b", "why"),
    [
        ([], "no worker has measured it"),
        ([Price("cpu", "cpu", why="its loop is its own")], "its loop is its own"),
        ([priced(1.1), priced(1.3, device="cuda")], r"two kinds of device, cpu \(1.10\) and cuda \(1.30\)"),
        ([priced(1.1, batch_size=16)], "for one of its configurations"),
    ],
    ids=["nobody", "own loop", "two devices", "another size"],
)
def test_where_it_is_not_known_it_is_refused_when_asked_for_and_left_out_else(of_b: list[Price], why: str) -> None:
    given = material(a=[priced(1.1)], b=of_b)
    with pytest.raises(Refusal, match=f"arm 'b'.*{why}"):
        answers(given, "gradients")
    told = answers(given)
    assert told.paid["b"]["gradients"].cost.estimate is None
    assert told.paid["b"]["passes"].cost.estimate is not None


def test_a_record_without_prices_is_answered_as_before() -> None:
    assert "gradients" not in answers(material()).paid["a"]


def test_seeds_whose_cost_nobody_knows_do_not_add_up_to_none() -> None:
    rows = record(*(training([0.2], seed_number=seed, flops=[float("nan")]) for seed in (0, 1)))
    assert trials(own.of_record(rows, "passes"), Question())["flops"].isna().all()


def test_a_price_is_read_as_it_was_written_and_anything_else_is_refused() -> None:
    every = [priced(1.5, batch_size=16), Price("cuda", "a GPU", why="out of memory")]
    again = read(written(every))
    assert again[0] == every[0]
    assert again[1].why == "out of memory"
    for text in ('[{"device": 1, "colour": 2}]', "3", "{"):
        with pytest.raises(Refusal, match="no prices"):
            read(text)
