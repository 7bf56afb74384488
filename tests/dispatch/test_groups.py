"""Trials that are trained side by side: which ones they are, whatever happened before, and what is refused."""

import pytest

from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome, Recorded
from study.plan.parse import parse
from trainables.refusal import Refusal

TEXT = """
question: q
common: {task: quadratic, trials: 7}
arms:
  sgd: {fuse: 3}
  adam: {direction: adam}
"""


def handed_out(dispatcher):
    """Everything that starts now, as (arm, configurations and seeds of the lanes, those of them that are recorded)."""
    found = []
    while (assignment := dispatcher.next()) is not None:
        lanes = assignment.lanes
        places = [(lane.key.k, lane.key.seed_number) for lane in lanes]
        found.append((assignment.key.arm, places, [lane.key.k for lane in lanes if lane.recorded]))
    return found


def recorded(assignment, status="finished"):
    return Recorded("run", assignment.trial.flat(), status, 0.5, 1, "")


def test_groups_are_k_over_fuse_and_the_last_is_smaller():
    out = [places for arm, places, _ in handed_out(Dispatcher(parse(TEXT, "x"), {})) if arm == "sgd"]
    assert out == [[(0, 0), (1, 0), (2, 0)], [(3, 0), (4, 0), (5, 0)], [(6, 0)]]


def test_what_does_not_fuse_is_handed_out_by_itself():
    found = [places for arm, places, _ in handed_out(Dispatcher(parse(TEXT, "x"), {})) if arm == "adam"]
    assert found == [[(k, 0)] for k in range(7)]


def test_seeds_of_a_configuration_are_lanes_too():
    study = parse("{question: q, common: {task: quadratic}, arms: {sgd: {fuse: 4, seeds: 3, trials: 2}}}", "x")
    assert [places for _, places, _ in handed_out(Dispatcher(study, {}))] == [
        [(0, 0), (0, 1), (0, 2), (1, 0)],
        [(1, 1), (1, 2)],
    ]


def test_a_trial_that_is_recorded_keeps_its_lane_beside_those_that_are_not():
    first, record = Dispatcher(parse(TEXT, "x"), {}), {}
    while (assignment := first.next()) is not None:
        for lane in assignment.lanes:
            if lane.key.arm == "sgd" and lane.key.k in (0, 1, 3, 4, 5, 6):
                record[lane.key] = recorded(lane)
    again = [found for found in handed_out(Dispatcher(parse(TEXT, "x"), record)) if found[0] == "sgd"]
    assert again == [("sgd", [(0, 0), (1, 0), (2, 0)], [0, 1])]


def test_a_group_of_a_searcher_that_learns_waits_for_the_one_before_it_and_no_longer():
    text = "{question: q, common: {task: quadratic}, arms: {sgd: {fuse: 3, parallel: 3, searcher: tpe, trials: 6}}}"
    dispatcher = Dispatcher(parse(text, "x"), {})
    first = dispatcher.next()
    assert dispatcher.next() is None
    for lane in first.lanes:
        dispatcher.observe(lane.key, Outcome("finished", 0.5))
    assert [lane.key.k for lane in dispatcher.next().lanes] == [3, 4, 5]


def test_put_back_a_group_is_next_as_it_was():
    dispatcher = Dispatcher(parse(TEXT, "x"), {})
    first = dispatcher.next()
    dispatcher.requeue(first)
    assert dispatcher.next() == first


REFUSED = {
    "fuse: 4, searcher: tpe": "parallel must be at least 4, got 1",
    "fuse: 4, parallel: 3, stopper: asha, epochs: 9": "asha sees results",
    "fuse: {choice: [2, 4]}": "fuse cannot be searched",
    "fuse: 2, batch_size: {choice: [32, 64]}": "search real numbers, not batch_size",
    "fuse: 2, scheme: cprop, scheme.cdf: {choice: [normal, cubic]}": "not scheme.cdf",
    "fuse: 2, gradient_clip: {choice: [1.0, null]}": "not gradient_clip",
    "fuse: 2, scheme: curvature": "asks for nothing but the gradient, got 'curvature'",
    "fuse: 2, scheme: line_search": "asks for nothing but the gradient, got 'line_search'",
    "fuse: 2, rule: packaged, optimizer: prodigy": "a composed rule",
    "fuse: 0": r"fuse must lie in \[1, 4096\]",
}


@pytest.mark.parametrize(("arm", "told"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_fused_is_refused_in_one_line_when_the_study_is_read(arm, told):
    with pytest.raises(Refusal, match=rf"\Aarm 'sgd': .*{told}.*\Z"):
        parse(f"{{question: q, common: {{task: quadratic}}, arms: {{sgd: {{{arm}}}}}}}", "x")


def test_a_loop_of_ones_own_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom trainables.training import Training\n@dataclass(frozen=True)\n"
        "class Mine(Training):\n    metric, mode, chance = 'accuracy', 'max', 0.5\n    def train(self, session): ...\n"
    )
    with pytest.raises(Refusal, match=r"fuse means nothing for .*Mine, which has a loop of its own"):
        parse("{question: q, arms: {a: {task: './mine.py:Mine', fuse: 2}}}", "x", folder=tmp_path)


def test_a_control_of_a_fused_arm_is_trained_one_by_one():
    text = "{question: q, common: {task: quadratic}, arms: {cprop: {scheme: cprop, fuse: 2}, c: {control_of: cprop}}}"
    assert [arm.setting("fuse") for arm in parse(text, "x").arms] == [2, None]
