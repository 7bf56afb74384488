"""Study files: what is read, and what is refused in which words."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.plan import file as reading
from study.plan import parse
from study.plan.key import Key
from study.search.stoppers import Median
from trainables import packaged
from trainables.components import members, slots
from trainables.directions import Direction
from trainables.refusal import Refusal
from trainables.schemes import Scheme
from trainables.space import LogUniform, Uniform
from trainables.trial import Trial

ARM = "{question: q, arms: {a: {task: quadratic, %s}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "study 'x' is empty; it needs the keys question and arms"),
        ("- 1", "study 'x' holds a list"),
        ("a: [", "study 'x': not plain YAML"),
        ("!!python/object/apply:os.system [ls]", "study 'x': not plain YAML: could not determine a constructor"),
        ("question: q\narms:\n  a: {}\n  a: {}", "study 'x': line 4: the key 'a' stands twice, first in line 3"),
        (ARM % "trials: 2, trials: 3", "study 'x': line 1: the key 'trials' stands twice"),
        ("{question: q, arms: {no: {task: quadratic}}}", "the key no (a truth value in YAML) is no name"),
        ("{question: q, arms: {1e-3: {task: quadratic}}}", "the key 1e-3 (a number in YAML) is no name"),
        ("{question: q, <<: {arms: {a: {}}}}", "the key << (a merge in YAML) is no name"),
        (
            ARM % "trials: 020",
            "study 'x': line 1: 020 has a leading zero, octal in YAML: write 20, or '020' if it is a",
        ),
        (ARM % "epochs: 1:30", "line 1: 1:30 is a number to the base of 60 in YAML: write the number"),
        (ARM % "scheme: {lr: 0.1}", "write scheme.lr: 0.1"),
        (ARM % "decay: {weight_decay: {uniform: [0, 1]}}", "write decay.weight_decay: {'uniform': [0, 1]}"),
        (
            ARM % "stopper: {min_epochs: 2}",
            "arm 'a': stopper takes a name; what belongs to it has a key of its own: wr",
        ),
        (ARM % "scheme: {choice: [fixed, cprop]}", "scheme cannot be searched: give every scheme an arm of its own"),
        ("{a: &a [1], b: *a}", "aliases (*name) are not allowed"),
        ("{questio: q, arms: {a: {task: quadratic}}}", "unknown key 'questio': did you mean 'question'?"),
        ("{question: q, arms: {}}", "arms dictionary should have at least 1 item"),
        ("{question: q, arms: {a: {}}}", "arm 'a': task is missing: one of"),
        ("{question: q, arms: {a: {task: quadratik}}}", "unknown task 'quadratik': did you mean 'quadratic'?"),
        ("{question: q, arms: {../a: {task: quadratic}}}", "arm name '../a' must be"),
        ("{question: q, common: {task: quadratic}, tasks: {quadratic: {}}, arms: {a: {}}}", "leave one of them out"),
        ("{question: q, tasks: {quadratic: {}}, arms: {a: {task: quadratic}}}", "arm 'a': task is given twice"),
        ("{question: q, tasks: {quadratik: {}}, arms: {a: {}}}", "arm 'a-quadratik': unknown task 'quadratik': did"),
        ("{question: q, tasks: {'./x.py:T': {}, './y.py:T': {}}, arms: {a: {}}}", "two tasks are called 'T'"),
        (
            "{question: q, tasks: {quadratic: {}}, arms: {a: {tasks: [quadratik]}}}",
            "arm 'a': unknown task 'quadratik': d",
        ),
        (
            "{question: q, tasks: {quadratic: {}}, arms: {a: {tasks: quadratic}}}",
            "arm 'a': tasks must be a list of tasks",
        ),
        (ARM % "tasks: [quadratic]", "arm 'a' names tasks, and the study has none: give it task: NAME"),
        ("{question: q, tasks: {quadratic: 3}, arms: {a: {}}}", "study 'x': tasks.quadratic input should be"),
        (ARM % "scheme.lrr: 1", "arm 'a': unknown key 'scheme.lrr': did you mean 'scheme.lr'?"),
        (ARM % "scheme: cprob", "unknown scheme 'cprob'"),
        (ARM % "direction: momentun", "unknown direction 'momentun': did you mean 'momentum'?"),
        (ARM % "searcher: tpee", "'tpee': did you mean 'tpe'?"),
        (ARM % "trials: 0", "arm 'a': trials input should be greater than or equal to 1, got 0"),
        (ARM % "trials: -3", "got -3"),
        (ARM % "trials: many", "got 'many'"),
        (ARM % "epochs: -2", "arm 'a': epochs must lie in [1e-06, 1e+06], got -2"),
        (ARM % "scheme.lr: -1", "arm 'a': scheme.lr must lie in [0, inf], got -1"),
        (ARM % "scheme.lr: .inf", "arm 'a': scheme.lr must be finite, got inf"),
        (
            ARM
            % "scheme: multilevel, scheme.floor: {log_uniform: [0.001, 1]}, scheme.ceiling: {log_uniform: [0.1, 9]}",
            "arm 'a': floor must not be above ceiling",
        ),
        (ARM % "scheme.lr: fast", "arm 'a': scheme.lr must be a number, got 'fast'"),
        (ARM % "scheme.lr: .nan", "arm 'a': scheme.lr must be a number"),
        (ARM % "seed: 3", "seed cannot be set"),
        (ARM % "scheme.lr: {log_uniform: [0, 1]}", "log_uniform needs low > 0, got low=0"),
        (ARM % "scheme.lr: {uniform: [2, 1]}", "uniform needs low < high, got low=2, high=1"),
        (ARM % "scheme.lr: {uniform: [-1, 1]}", "scheme.lr must lie in [0, inf], got -1"),
        (ARM % "scheme.lr: {lognormal: [1, 2]}", "unknown domain 'lognormal'"),
        (ARM % "scheme.lr: {uniform: 3}", "uniform needs a list"),
        (ARM % "task.dim: {uniform: [1, 3]}", "task.dim is a whole number"),
        (ARM % "scheme.schedule: {choice: [cosine]}", "scheme.schedule cannot be searched"),
        (
            ARM % "scheme: curvature, decay: decoupled, decay.weight_decay: 0.1",
            "arm 'a': scheme 'curvature' needs the penalty in the loss: decay 'coupled', got 'decoupled'",
        ),
        (
            ARM % "scheme: curvature, compile: true",
            "arm 'a': compile: true needs a scheme that asks for nothing but the gradient, got 'curvature'",
        ),
        (
            ARM % "rule: packaged, optimizer: prodigy, compile: true",
            "arm 'a': compile: true needs a composed rule, got rule: packaged",
        ),
        (
            ARM % "optimizer: prodigy, direction: adam",
            "arm 'a': optimizer is a rule of its own, and takes no direction beside it: leave one of them out",
        ),
        (
            ARM % "rule: packaged, optimizer: prodigy, scheme.lr: 1",
            "arm 'a': optimizer is a rule of its own, and takes no scheme.lr beside it: leave one of them out",
        ),
        (ARM % "optimizer: 'torch.optim:Adam'", "'torch.optim:Adam' names other people's code"),
        (ARM % "scheme.lr: [1, 2]", "arm 'a': scheme.lr must be a number, got [1, 2]"),
        (
            ARM % "scheme: curvature, direction: adam",
            "arm 'a': scheme 'curvature' needs a direction that descends: one of ada",
        ),
    ],
)
def test_is_refused_in_one_clear_line(text, message):
    with pytest.raises(Refusal) as refusal:
        parse.parse(text, "x")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_optimizer_whose_package_is_not_installed_is_refused_naming_the_group(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(Refusal) as refusal:
        parse.parse(ARM % "rule: packaged, optimizer: schedulefree_sgd", "x")
    assert str(refusal.value) == (
        "arm 'a': optimizer: schedulefree_sgd needs the package schedulefree, which is not installed: "
        "in a checkout, uv sync --group packaged or pip install '.[packaged]'"
    )


LOOSE = """
from dataclasses import dataclass

import torch

from trainables.tasks.quadratic import Quadratic
from trainables.training import Training


class Plain(torch.optim.SGD):
    def __init__(self, params, lr: float):
        super().__init__(params, lr=lr)


@dataclass(frozen=True)
class Loop(Training):
    metric, mode, chance = "accuracy", "max", 0.1

    def train(self, session):
        pass
"""


def test_a_field_without_a_default_may_be_searched_as_well_as_given(tmp_path):
    (tmp_path / "opt.py").write_text(LOOSE)
    text = "{question: q, common: {task: quadratic, trials: 2}, arms: {a: {optimizer: './opt.py:Plain'%s}}}"
    domain = ", optimizer.lr: {log_uniform: [0.01, 0.1]}"
    (arm,) = parse.parse(text % domain, "x", folder=tmp_path).arms
    assert (arm.task.metric, arm.with_required["optimizer.lr"]) == ("loss", 0.01)


def test_epochs_of_a_loop_of_its_own_are_searched_as_whole_numbers(tmp_path):
    (tmp_path / "loop.py").write_text(LOOSE)
    text = "{question: q, arms: {a: {task: './loop.py:Loop', trials: 2, epochs: {%s: [1, 5]}}}}"
    assert parse.parse(text % "integer", "x", folder=tmp_path).arms
    with pytest.raises(Refusal, match="arm 'a': epochs of a loop of its own are whole numbers"):
        parse.parse(text % "uniform", "x", folder=tmp_path)


def test_nothing_behind_a_name_is_an_arm_of_defaults():
    file = "question: q\ncommon: {task: quadratic}\narms:\n  sgd:\n  wide: {batch_size: 64}"
    assert [arm.name for arm in parse.parse(file, "x").arms] == ["sgd", "wide"]


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ("schedule: cosine", "did you mean 'decay.schedule' or 'scheme.schedule'?"),
        ("lr: 0.1", "did you mean 'scheme.lr'?"),
        ("stopper: {asha: {reduction: 3}}", "write stopper: asha, stopper.reduction: 3"),
        ("decay: 0.01", "decay takes one name, got 0.01: one of coupled, decoupled"),
        ("scheme.lr: 0.1, start: [{scheme.lr: 0.1}]", "start: scheme.lr is fixed in this arm: leave it out"),
        ("task: './my_task:Mine'", "./my_task is no module: a file is named with its ending"),
    ],
)
def test_an_ordinary_mistake_is_told_with_its_remedy(arm, line):
    task = "" if arm.startswith("task") else "task: quadratic, "
    text = f"{{question: q, arms: {{a: {{{task}{arm}}}}}}}"
    with pytest.raises(Refusal) as refusal:
        parse.parse(text, "x", folder=Path())
    assert line in str(refusal.value)


@pytest.mark.parametrize("rate", ["0", "{choice: [0.0, 0.1]}", "{uniform: [0.0, 0.1]}"])
def test_a_product_over_a_rate_that_may_be_0_is_refused(rate):
    arm = f"scheme.lr: {rate}, decay.weight_decay: {{over_lr: {{uniform: [0, 1]}}}}"
    with pytest.raises(Refusal, match=r"arm 'a': decay\.weight_decay: over_lr needs a learning rate above 0"):
        parse.parse(ARM % arm, "x")


def test_a_start_of_a_product_knows_a_rate_that_is_left_at_its_default():
    arm = "decay: coupled, decay.weight_decay: {over_lr: {uniform: [0, 1]}}, start: [{decay.weight_decay: 0.01}]"
    (default,), (given,) = (parse.parse(ARM % f"scheme.lr: {lr}, {arm}", "x").arms[0].start for lr in ("default", 0.1))
    assert default == given == {"decay.weight_decay": pytest.approx(0.001)}


def test_a_recorded_control_of_an_arm_that_was_started_somewhere_is_read():
    arms = "c: {scheme: cprop, scheme.c: {log_uniform: [0.1, 10]}, start: [{scheme.c: 1.0}]}, control: {control_of: c}"
    text = f"{{question: q, common: {{task: quadratic, trials: 2}}, arms: {{{arms}}}}}"
    study = parse.parse(text, "x")
    again = parse.recorded(text, "x", {arm.name: arm.contents() for arm in study.arms}, {})
    assert [arm.name for arm in again.arms] == ["c", "control"]


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="is not text"):
        parse.load(str(tmp_path / "x.yaml"))


def test_a_file_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b" " * (reading.MAX_BYTES + 1))
    with pytest.raises(Refusal, match="1,000,001 bytes"):
        parse.load(str(tmp_path / "x.yaml"))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match="No such file"):
        parse.load(str(tmp_path / "x.yaml"))


def test_an_arm_overrides_what_is_common():
    study = parse.parse("{question: q, common: {task: quadratic, trials: 3}, arms: {a: {}, b: {trials: 5}}}", "x")
    assert [arm.settings.trials for arm in study.arms] == [3, 5]


def test_searched_fields_are_searched_unless_the_arm_says_otherwise():
    arms = "{a: {}, b: {scheme.lr: 0.5}, c: {scheme.lr: default}, d: {scheme.lr: {uniform: [0.1, 1]}}}"
    study = parse.parse(f"{{question: q, common: {{task: quadratic}}, arms: {arms}}}", "x")
    spaces = [arm.space.get("scheme.lr") for arm in study.arms]
    assert spaces == [LogUniform(1e-5, 10.0), None, None, Uniform(0.1, 1)]
    assert study.arms[1].trial({}, 0).rule.scheme.lr == 0.5


@pytest.mark.parametrize("text", ["1e-5", "1.0e-05", "0.00001", "1E-5", "10.e-6", ".1e-4", "+1.0E-5"])
def test_a_number_may_be_written_as_researchers_write_it(text):
    assert parse.parse(ARM % f"scheme.lr: {text}", "x").arms[0].fixed["scheme.lr"] == 1e-5


def test_the_budget_is_no_part_of_the_contents():
    short, long = (parse.parse(ARM % f"trials: {n}", "x") for n in (2, 20))
    other = parse.parse(ARM % "epochs: 3", "x")
    assert short.hash == long.hash != other.hash


@pytest.mark.parametrize("name", parse.shipped())
def test_a_shipped_study_states_its_question_command_duration_and_result(name):
    study = parse.load(name)
    assert study.file.question.endswith("?")
    assert study.file.command.startswith(f"lr-study run {name}")
    assert study.file.duration
    assert study.file.result


@pytest.mark.parametrize("key", ["trials", "repetitions", "seeds", "parallel"])
def test_yes_is_no_number(key):
    with pytest.raises(Refusal, match="a whole number, not true"):
        parse.parse(f"{{question: q, common: {{task: quadratic, {key}: yes}}, arms: {{sgd: {{}}}}}}", "x")


def test_two_arms_that_a_report_would_call_alike_are_refused():
    with pytest.raises(Refusal, match="arms 'sgd' and 'sgd-quadratic' are one scheme on quadratic"):
        parse.parse(
            "{question: q, common: {task: quadratic}, arms: {sgd: {}, sgd-quadratic: {scheme.lr: 0.1}}}", "twins"
        )


def test_a_key_is_its_path():
    key = Key("study", "arm", 1, 2, 3)
    assert Key.of_path(key.path) == key
    assert key.seed != key._replace(k=3).seed


@st.composite
def flat_trials(draw):
    chosen = {
        "task": "quadratic",
        "direction": draw(st.sampled_from(sorted(members(Direction)))),
        "scheme": draw(st.sampled_from(sorted(members(Scheme)))),
    }
    if members(Scheme)[chosen["scheme"]].needs_descent:
        chosen["direction"] = "sgd"
    for key, slot in slots(Trial, chosen).items():
        if isinstance(slot.default, float) and slot.valid:
            low, high = slot.valid.low, min(slot.valid.high, 1e6)
            chosen[key] = draw(st.one_of(st.just(slot.default), st.floats(low, high)))
        elif isinstance(slot.default, int) and slot.valid and not isinstance(slot.default, bool):
            chosen[key] = draw(st.integers(int(slot.valid.low), int(min(slot.valid.high, 1e4))))
    for low, high in (("scheme.floor", "scheme.ceiling"), ("scheme.clamp_low", "scheme.clamp_high")):
        if low in chosen and high in chosen:
            chosen[low], chosen[high] = sorted((chosen[low], chosen[high]))
    return chosen


@settings(deadline=None)  # the first of a kind imports it
@given(flat_trials())
def test_parsing_a_flat_trial_gives_it_back(flat):
    trial = Trial.parse(flat)
    assert Trial.parse(trial.flat()) == trial
    assert flat.items() <= trial.flat().items()


TASKS = """{question: q, baseline: %s, common: {trials: 3, epochs: 2},
            tasks: {quadratic: {trials: 5}, digits_mlp: {epochs: 4}},
            arms: {sgd: {epochs: 1}, cprop: {scheme: cprop}, control: {control_of: cprop}}}"""


def test_a_study_of_several_tasks_runs_every_arm_on_each_task_by_task():
    arms = {arm.name: arm for arm in parse.parse(TASKS % "sgd", "x").arms}
    tasks, names = ("quadratic", "digits_mlp"), ("sgd", "cprop", "control")
    assert list(arms) == [f"{arm}-{task}" for task in tasks for arm in names]
    assert [arms[name].settings.trials for name in ("cprop-quadratic", "cprop-digits_mlp")] == [5, 3]  # task, common
    assert [arms[name].fixed["epochs"] for name in ("sgd-digits_mlp", "cprop-digits_mlp")] == [1, 4]  # arm, task
    control = arms["control-digits_mlp"]
    assert (control.settings.control_of, control.settings.trials) == ("cprop-digits_mlp", 3)


@pytest.mark.parametrize("baseline", ["sgd", "sgd-quadratic"])
def test_the_baseline_of_several_tasks_is_a_scheme_or_one_of_its_arms(baseline):
    assert reading.read_file(TASKS % baseline, "x").baseline == baseline


def test_a_baseline_that_is_neither_is_refused():
    with pytest.raises(Refusal, match="unknown baseline 'sgdd'"):
        reading.read_file(TASKS % "sgdd", "x")


ASHA = "common: {task: quadratic, epochs: 9, stopper: asha, stopper.reduction: 4}"


@pytest.mark.parametrize("word", ["none", "null", "~"])
def test_an_arm_may_have_no_stopper_where_the_others_have_one(word):
    study = parse.parse(f"{{question: q, {ASHA}, arms: {{a: {{stopper: {word}}}, b: {{}}}}}}", "x")
    assert [arm.settings.stopper for arm in study.arms] == [None, "asha"]
    assert [arm.stopper and arm.stopper.reduction for arm in study.arms] == [None, 4]


def test_an_arm_with_another_stopper_shares_no_field_of_the_others():
    study = parse.parse(f"{{question: q, {ASHA}, arms: {{a: {{stopper: median, stopper.min_trials: 2}}}}}}", "x")
    assert study.arms[0].stopper == Median(min_trials=2)


def test_a_field_of_a_stopper_that_the_arm_itself_has_not_is_refused():
    with pytest.raises(Refusal, match=r"stopper\.reduction needs a stopper"):
        parse.parse(f"{{question: q, {ASHA}, arms: {{a: {{stopper: none, stopper.reduction: 3}}}}}}", "x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("duplicate_arms", "line 5: the key 'a' stands twice, first in line 4"),
        ("nested_keys", "write scheme.lr: {'log_"),
    ],
)
def test_small_files_that_went_wrong_are_refused_for_what_is_wrong(name, message, shared):
    with pytest.raises(Refusal) as refusal:
        parse.load(str(shared / "cases" / "studies" / f"{name}.yaml"))
    assert message in str(refusal.value)


def test_a_small_file_that_was_refused_is_read(shared):
    assert parse.load(str(shared / "cases" / "studies" / "no_stopper.yaml")).arms[0].stopper is None


PARTS = """{question: q, common: {task: quadratic}, arms:
  {sgd: {}, cprop: {scheme: cprop}, control: {control_of: cprop}, adam: {direction: adam}}}"""


@pytest.mark.parametrize(
    ("patterns", "arms"),
    [
        ([], ["sgd", "cprop", "control", "adam"]),
        (["adam", "sgd"], ["sgd", "adam"]),
        (["c*"], ["cprop", "control"]),
        (["control"], ["cprop", "control"]),
    ],
    ids=str,
)
def test_a_part_of_a_study_has_the_named_arms_and_those_that_they_follow(patterns, arms):
    assert [arm.name for arm in parse.parse(PARTS, "x").part(patterns).arms] == arms


def test_trainings_that_are_missing_are_those_of_the_budget_whatever_was_recorded_beyond_it():
    study = parse.parse("{question: q, common: {task: quadratic, trials: 3, seeds: 2}, arms: {a: {}, b: {}}}", "x")
    ended = [Key("x", "a", 0, k, seed) for k in range(4) for seed in range(2)] + [Key("x", "b", 5, 0)]
    assert study.missing(ended) == {("a", 0): 0, ("b", 0): 6}


def test_a_part_of_no_arm_is_refused():
    with pytest.raises(Refusal, match="unknown arm 'adm': did you mean 'adam'"):
        parse.parse(PARTS, "x").part(["sgd", "adm"])
