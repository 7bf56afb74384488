"""Importance of hyper-parameters: where one alone decides, where two do alike, and on the page."""

import numpy as np
import optuna
import pytest
from recorded import record, training

from study.answers.study import ReportOptions, answers_of
from study.records.material import Material
from study.reports.forms import markdown
from study.reports.page import page
from study.reports.summary import whole
from study.search.importance import importance
from trainables.space import Choice, LogNormal, LogUniform, Uniform

SPACE = {"scheme.lr": LogUniform(1e-4, 1.0), "direction.momentum": Uniform(0.0, 1.0)}


def drawn(n=100):
    generator = np.random.default_rng(0)
    return [
        {"scheme.lr": float(10 ** generator.uniform(-4, 0)), "direction.momentum": float(generator.uniform())}
        for _ in range(n)
    ]


def depth(values, key):
    place = (np.log10(values[key]) + 4) / 4 if key == "scheme.lr" else values[key]
    return abs(place - 0.5)


@pytest.mark.parametrize("key", SPACE)
def test_a_hyper_parameter_that_decides_alone_has_nearly_all_of_it(key):
    values = drawn()
    assert importance(SPACE, values, [-depth(one, key) for one in values])[key] > 0.9


def test_two_that_decide_alike_have_about_half_each_in_any_order_of_trials():
    values = drawn()
    scores = [-max(depth(one, key) for key in SPACE) for one in values]
    shares = importance(SPACE, values, scores)
    assert sum(shares.values()) == pytest.approx(1)
    assert 0.25 < shares["scheme.lr"] < 0.75
    assert importance(SPACE, values[::-1], scores[::-1]) == pytest.approx(shares)


def test_nothing_is_said_beside_the_answer(caplog):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    optuna.logging.enable_propagation()
    values = drawn(20)
    importance(SPACE, values, [-depth(one, "scheme.lr") for one in values])
    optuna.logging.disable_propagation()
    assert caplog.messages == []


def test_priors_and_choices_are_axes_too():
    space = {"scheme.lr": LogNormal(0.01, 1.0), "direction.momentum": Choice((0.0, 0.9))}
    values = [one | {"direction.momentum": 0.9 * (k % 2)} for k, one in enumerate(drawn())]
    scores = [one["direction.momentum"] + 1e-3 * one["scheme.lr"] for one in values]
    assert set(importance(space, values, scores)) == set(space)


def material_of(n):
    """A product decides; of each trial the record has rate and decay."""
    domain = {"scheme.lr": {"log_uniform": [1e-4, 1.0]}, "decay.weight_decay": {"over_lr": {"uniform": [0.0, 1.0]}}}
    trainings = [
        training(
            [1 - depth(one, "direction.momentum")],
            k=k,
            task="digits_mlp",
            **{"scheme.lr": one["scheme.lr"], "decay.weight_decay": one["direction.momentum"] / one["scheme.lr"]},
        )
        for k, one in enumerate(drawn(n))
    ]
    return Material("mine", record(*trainings), contents={"a": domain})


def test_the_page_and_the_report_tell_it_of_arms_that_search_several():
    material = material_of(60)
    (answers,) = answers_of(material, ReportOptions(draws=100))
    (found,) = answers.importances
    assert (found.scheme, found.trials) == ("a", 60)
    assert found.shares["decay.weight_decay"] > 0.8
    for text in (markdown(page(material, [answers])), whole(material, "text")):
        assert "Importance of hyper-parameters" in text
        assert f"{found.shares['decay.weight_decay']:.2f}" in text


def test_of_few_trials_nothing_is_told():
    (answers,) = answers_of(material_of(19), ReportOptions(draws=100))
    assert answers.importances == []


def test_null_is_an_option_of_which_the_page_tells_like_of_others():
    domain = {"scheme.lr": {"log_uniform": [1e-4, 1.0]}, "gradient_clip": {"choice": [None, 1.0]}}
    trainings = [
        training([0.9 - 0.4 * (k % 2)], k=k, **{"scheme.lr": 0.1 + k / 100, "gradient_clip": 1.0 if k % 2 else None})
        for k in range(24)
    ]
    made = Material("mine", record(*trainings).assign(task="digits_mlp"), contents={"a": domain})
    (answers,) = answers_of(made, ReportOptions(draws=100))
    (found,) = answers.importances
    assert found.shares["gradient_clip"] > 0.8


@pytest.mark.parametrize("good", [0, 1, 4, 9])
def test_where_the_best_tenth_is_no_better_than_the_rest_nothing_is_told(good):
    """Of scores at chance any is as good as another: half of all importance each would be said of nothing."""
    values = drawn()
    order = sorted(range(len(values)), key=lambda at: depth(values[at], "scheme.lr"))
    scores = [0.9 if at in order[:good] else 0.1 for at in range(len(values))]
    assert importance(SPACE, values, scores) is None
    scores[order[9]] = 0.9
    assert good < 9 or importance(SPACE, values, scores)["scheme.lr"] > 0.9


def test_values_are_read_from_a_table_whose_columns_hold_words_too():
    """In CSV a number is a text where its column holds words: `full` among batch sizes."""
    space = {"scheme.lr": {"log_uniform": [1e-4, 1.0]}, "batch_size": {"choice": [32, 64, "full"]}}
    wide = {"scheme.lr": {"log_uniform": [1e-4, 1.0]}, "batch_size": {"integer": [16, 128]}}
    rows = [
        training([0.5 + k / 100], arm=arm, k=k, batch_size=size, **{"scheme.lr": 0.1 / (k + 1)})
        for arm in ("a", "b")
        for k, size in enumerate(["32", "64", "full" if arm == "a" else "96"] * 8)
    ]
    material = Material("s", record(*rows), searched={"a": space, "b": wide})
    (answers,) = answers_of(material, ReportOptions(draws=100))
    chosen, drawn = ([one["batch_size"] for one in each.values[:3]] for each in answers.configurations)
    assert (chosen, drawn) == ([32, 64, "full"], [32, 64, 96])
