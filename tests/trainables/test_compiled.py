"""`compile: true`: the same mathematics, written over the memory of the step before."""

import shutil
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.schemes import Rate, Scheme
from trainables.trial import Trial

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")

ADAPTIVE = [
    {"direction": "sgd"},
    {"direction": "amsgrad", "scheme.lr": 0.001},
    {"direction": "momentum", "scheme": "cprop", "decay": "decoupled"},
    {"direction": "nesterov", "scheme": "hypergradient"},
    {"scheme": "multilevel", "scheme.levels": "global+layer+unit+parameter"},
]


def run(**flat):
    return Run(Trial.parse({"task": "digits_mlp", "precision": "float64", "scheme.lr": 0.1, "epochs": 2.0, **flat}))


def bits(records):
    """What does not depend on the clock."""
    return [{key: value for key, value in record.flat().items() if key != "seconds"} for record in records]


@pytest.mark.parametrize("flat", ADAPTIVE, ids=lambda flat: "-".join(map(str, flat.values())))
def test_a_compiled_training_is_the_eager_one_but_for_rounding(flat):
    eager, compiled = list(run(**flat)), list(run(**flat, compile=True))
    for one, other in zip(eager, compiled, strict=True):
        assert bits([other])[0] == pytest.approx(bits([one])[0], rel=1e-9)


def test_what_a_compiled_step_returns_stands_where_its_parameters_and_states_stood():
    trained = run(direction="adam", compile=True)
    trained.step()
    places = [p.data_ptr() for p in trained.params.values()]
    states = [state.mean.data_ptr() for state in trained.rule_state.directions.values()]
    trained.step()
    assert [p.data_ptr() for p in trained.params.values()] == places
    assert [state.mean.data_ptr() for state in trained.rule_state.directions.values()] == states


def test_the_best_parameters_outlive_the_steps_after_them():
    worsens = {"scheme.schedule": "exponential", "scheme.schedule.end": 100.0, "epochs": 6.0}
    eager, compiled = list(run(**worsens)), list(run(**worsens, compile=True))
    scores = [record.valid_score for record in eager]
    assert max(scores) > scores[-1]  # else this would show nothing
    assert compiled[-1].extras["test_score"] == eager[-1].extras["test_score"]


def test_a_compiled_training_goes_on_from_a_saved_state_with_the_same_bits(tmp_path):
    whole, first = run(direction="adam", compile=True), run(direction="adam", compile=True)
    records = list(whole)
    first.epoch()
    for _ in range(3):
        first.step()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again = run(direction="adam", compile=True)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    list(again)
    assert bits(again.records) == bits(records)


class Handed(NamedTuple):
    """Twice the gradients of the last steps, one tensor at first."""

    last: Tensor
    before: Tensor


@dataclass(frozen=True)
class Remembering(Scheme):
    """The rate is |⟨2g of two steps ago, g⟩| + 0.1; what was last is handed on to `before`."""

    def init(self, params):
        zero = torch.zeros_like(params["w"])
        return Handed(zero, zero)

    def rate(self, known):
        lr = (known.state.before * known.grads.raw["w"]).sum().abs().double() + 0.1
        return Rate(lr), Handed(2 * known.grads.raw["w"], known.state.last)


def test_a_state_that_is_handed_from_one_place_to_another_is_not_overwritten_there():
    def trained(compiled):
        rule, params = Composed(scheme=Remembering()), {"w": torch.tensor([2.0, 1.0], dtype=torch.float64)}
        state = rule.init(params)
        if compiled:
            state = state._replace(scheme=Handed(*(each.clone() for each in state.scheme)))
        step = rule.compiled() if compiled else rule.step
        for at in range(6):
            oracle = Oracle(lambda params: (params["w"] ** 2).sum() / (at + 1))  # noqa: B023
            _, params, state = step(oracle, params, state, torch.tensor(0.0, dtype=torch.float64))
        return params["w"]

    assert trained(compiled=True).tolist() == pytest.approx(trained(compiled=False).tolist(), rel=1e-12)


def test_scale_invariant_tensors_are_measured_alike():
    flat = {"task": "fashion_mlp_norm", "scale_invariance": True, "epochs": 0.05, "decay.weight_decay": 0.01}
    try:
        one, other = list(run(**flat))[-1], list(run(**flat, compile=True))[-1]
    except Refusal as refusal:
        pytest.skip(f"data is not here: {refusal}")
    assert other.extras == pytest.approx(one.extras, rel=1e-6)
