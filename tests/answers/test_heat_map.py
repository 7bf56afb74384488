"""The heat map: steps until a loss, and the fact that it is drawn for, where it can be computed."""

import math

import pandas as pd
import pytest
import torch

from study.answers import heat_map as heat
from study.figures import heat as drawn
from study.figures import vega
from study.plan import file as reading
from study.plan.file import Heat
from study.plan.parse import parse
from study.reports import sections
from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient

MAP = Heat(rows="scheme.lr", columns="scheme.beta", until=0.5)


def trial(run, lr, beta, losses):
    return pd.DataFrame(
        {
            "run_id": run,
            "scheme.lr": lr,
            "scheme.beta": beta,
            "steps": [10 * (n + 1) for n in range(len(losses))],
            "train_loss": losses,
        }
    )


RECORD = pd.concat(
    [
        trial("a", 0.1, math.nan, [0.6, 0.5, 0.7]),
        trial("b", 0.01, math.nan, [0.9, 0.8]),
        trial("c", 0.1, 1e-3, [0.4]),
        trial("d", 0.1, 1e-2, [0.9, math.nan]),
        *(trial(f"e{n}", 0.01, 1e-3, [0.9] * n + [0.1]) for n in (0, 5, 7)),
    ],
    ignore_index=True,
)


def test_a_cell_is_the_first_record_that_is_low_enough():
    cells = {
        (c.row, heat.value_text(c.column)): (c.steps, c.reached) for c in heat.steps_until(RECORD, MAP).itertuples()
    }
    assert cells == {
        (0.1, "none"): (20, True),
        (0.01, "none"): (20, False),
        (0.1, "0.001"): (10, True),
        (0.1, "0.01"): (20, False),
        (0.01, "0.001"): (60, True),
    }


def test_the_table_has_large_rates_on_top_and_arms_without_the_second_first():
    sheet = sections.heat_table(RECORD, MAP)
    assert sheet.columns == ["scheme.lr \\ scheme.beta", "none", "0.001", "0.01"]
    assert sheet.rows == [["0.1", "20", "10", "> 20"], ["0.01", "> 20", "60", ""]]


def test_the_figure_says_what_the_table_says():
    text = vega.still(drawn.chart(RECORD, MAP))
    assert all(f">{words}<" in text for words in ("20", "10", "60", "&gt; 20", "none", "scheme.beta"))


def test_an_empty_record_has_no_figure_and_an_empty_table():
    assert drawn.chart(pd.DataFrame(), MAP) is None
    assert sections.heat_table(pd.DataFrame(), MAP).rows == []


def test_an_unknown_loss_is_refused():
    with pytest.raises(Refusal, match=r"heat\.loss input should be 'train_loss'"):
        reading.read_file("{question: q, heat: {rows: a, columns: b, until: 1, loss: loss}, arms: {a: {}}}", "x")


def steps_of(scheme, until=1e-3, most=2_000_000):
    """Steps down ½‖w‖² from ‖w‖ = 1 until the loss is low enough."""
    rule, params = Composed(scheme=scheme), {"w": torch.full((4,), 0.5, dtype=torch.float64)}
    state, progress = rule.init(params), torch.tensor(0.0)
    for step in range(most):
        loss, params, state = rule.step(Oracle(lambda p: p["w"].square().sum() / 2), params, state, progress)
        if loss <= until:
            return step
    return most


def test_without_noise_a_plain_rate_costs_its_inverse_and_a_hypergradient_hardly_asks_where_it_starts():
    """Plain: (1 − α)ᵗ = √(.001/.5), so t is about 3.1/α. Hypergradients: β ‖g‖² a step lifts any small start."""
    plain = [steps_of(Fixed(lr=lr)) for lr in (1e-1, 1e-2, 1e-3)]
    assert plain == [math.ceil(math.log(0.002) / 2 / math.log(1 - lr)) for lr in (1e-1, 1e-2, 1e-3)]
    lifted = [steps_of(Hypergradient(lr=lr, beta=1e-2)) for lr in (1e-2, 1e-3, 1e-4, 1e-5)]
    assert max(lifted) <= 1.25 * min(lifted) < 0.2 * plain[1]


def test_a_loss_that_nobody_has_recorded_yet_is_not_reached():
    of_test = MAP.model_copy(update={"loss": "test_loss"})
    assert not heat.steps_until(RECORD, of_test)["reached"].any()


def test_a_loss_that_is_never_asked_for_is_refused():
    heat_of_tests = "heat: {rows: scheme.lr, columns: epochs, until: 1, loss: test_loss}"
    text = f"{{question: q, {heat_of_tests}, arms: {{a: {{task: quadratic%s}}}}}}"
    parse(text % "", "x")
    with pytest.raises(Refusal, match=r"heat\.loss is test_loss, and evaluate_test: never asks for none"):
        parse(text % ", evaluate_test: never", "x")


def test_every_task_has_a_table_of_its_own():
    file = reading.read_file(
        "{question: q, heat: {rows: scheme.lr, columns: scheme.beta, until: 0.5}, arms: {a: {task: quadratic}}}", "x"
    )
    both = pd.concat([RECORD.assign(task="quick"), RECORD.assign(task="slow", steps=10 * RECORD["steps"])])
    quick, slow = sections.sections(both, file)
    assert (quick.title, slow.title) == ("quick: Steps until train_loss 0.5", "slow: Steps until train_loss 0.5")
    assert (quick.rows[0], slow.rows[0]) == (["0.1", "20", "10", "> 20"], ["0.1", "200", "100", "> 200"])
    (alone,) = sections.sections(RECORD.assign(task="quick"), file)
    assert alone.title == "Steps until train_loss 0.5"
