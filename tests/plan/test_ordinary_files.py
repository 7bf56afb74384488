"""Entries of ordinary study files hold for every arm, or are refused before anything starts."""

import pytest

from study.plan.parse import parse
from trainables.refusal import Refusal
from trainables.space import Choice, LogUniform, TimesLr


def arms(*, common="", arms, more="", tasks=""):
    said = f"common: {{{common}}}" if common else ""
    text = f"question: q\n{said}\n{f'tasks: {{{tasks}}}' if tasks else ''}\narms: {{{arms}}}\n{more}"
    return parse(text, "ordinary").arms


def stopper(arm):
    found = arm.stopper
    return (type(found).__name__, found.min_epochs, found.reduction) if found else None


@pytest.mark.parametrize(
    ("common", "own", "said"),
    [
        ("stopper.min_epochs: 4, stopper.reduction: 2", "{stopper: asha}", ("Asha", 4, 2)),
        ("stopper: asha, stopper.min_epochs: 4", "{stopper: asha}", ("Asha", 4, 3)),
        ("stopper: asha, stopper.min_epochs: 4", "{stopper: none}", None),
        ("stopper.min_epochs: 4", "{stopper: none}", None),
        ("stopper: hyperband, stopper.reduction: 2", "{stopper: asha}", ("Asha", 1, 3)),
    ],
)
def test_what_all_arms_say_of_a_stopper_holds_for_the_arm_that_names_it(common, own, said):
    (arm,) = arms(common=f"task: quadratic, epochs: 20, {common}", arms=f"a: {own}")
    assert stopper(arm) == said


def test_what_a_task_says_of_a_stopper_holds_for_arms_that_name_it_and_those_that_do_not():
    tasks = "quadratic: {stopper.min_epochs: 4}"
    found = arms(common="epochs: 20, stopper: asha", tasks=tasks, arms="a: {stopper: asha}, b: {}, c: {stopper: none}")
    assert list(map(stopper, found)) == [("Asha", 4, 3), ("Asha", 4, 3), None]
    (other,) = arms(common="epochs: 20, stopper: hyperband", tasks=tasks, arms="a: {stopper: asha}")
    assert stopper(other) == ("Asha", 1, 3)


@pytest.mark.parametrize("key", ["batch_size", "accumulate"])
@pytest.mark.parametrize("domain", ["log_uniform: [1, 8]", "uniform: [1, 8]", "log_normal: [4, 0.3]"])
def test_a_whole_number_is_not_searched_among_fractions(key, domain):
    with pytest.raises(Refusal, match=rf"{key} is a whole number: search it with integer: \[low, high\]"):
        arms(common="task: digits_mlp", arms=f"a: {{{key}: {{{domain}}}}}")
    assert arms(common="task: digits_mlp", arms=f"a: {{{key}: {{integer: [1, 8]}}}}")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ("decay.weight_decay: {times_lr: {choice: [a, 1.0]}}", "times_lr multiplies the rate by numbers, got 'a'"),
        ("scheme: [fixed, cprop]", r"scheme takes one name, got \['fixed', 'cprop'\]: give each an arm of its own"),
        ("scheme.lr: {choice: [[0.1, 0.2], [0.3, 0.4]]}", r"choice takes numbers, texts, .* got \[0.1, 0.2\]"),
        (
            "scheme.lr: {log_normal: [0.1, 0.5, low, high]}",
            "log_normal is cut off at two numbers, got 'low' and 'high'",
        ),
    ],
)
def test_a_list_where_one_thing_stands_is_one_line(own, said):
    with pytest.raises(Refusal, match=said):
        arms(common="task: quadratic", arms=f"a: {{{own}}}")


def test_a_list_of_tasks_within_a_list_is_one_line():
    with pytest.raises(Refusal, match="unknown task"):
        arms(tasks="quadratic: {}", arms="a: {tasks: [[quadratic]]}")


@pytest.mark.parametrize("name", ["rows", "columns"])
def test_a_heat_map_is_over_what_an_arm_has(name):
    heat = {"rows": "scheme.lr", "columns": "scheme.beta", "until": 0.3}
    wrong = {**heat, name: f"{heat[name]}x"}
    made = {"common": "task: quadratic", "arms": "a: {scheme: hypergradient}"}
    assert arms(**made, more=f"heat: {heat}")
    with pytest.raises(Refusal, match=rf"unknown key in heat.{name}: '{wrong[name]}'"):
        arms(**made, more=f"heat: {wrong}")


@pytest.mark.parametrize("ratio", [0.1, 0.3, 3.0, 10.0])
def test_a_ratio_of_rates_is_the_option_that_was_drawn(ratio):
    times = TimesLr(Choice((0.1, 0.3, 3.0, 10.0)))
    rates = [1.07**power * 1e-4 for power in range(200)]
    assert {times.sampled(times.resolved(ratio, rate), rate) for rate in rates} == {ratio}
    within = TimesLr(LogUniform(ratio, 2 * ratio))
    assert all(within.sampled(within.resolved(ratio, rate), rate) in within.inner for rate in rates)


def test_cmaes_counts_a_ratio_among_options_for_no_number():
    split = "rule: split, rest.scheme.lr: {times_lr: {choice: [0.1, 1.0]}}, searcher: cmaes, parallel: 1"
    with pytest.raises(Refusal, match="cmaes needs at least 2 numbers"):
        arms(common="task: digits_mlp", arms=f"a: {{{split}}}")
