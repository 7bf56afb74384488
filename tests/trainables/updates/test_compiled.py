"""`compile: true`: the same mathematics, written over the memory of the step before."""

import math
import shutil
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.directions.rmsprop import RMSProp
from trainables.directions.sgd import SGD
from trainables.optimizer import SchemeOptimizer
from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run.loop import Run
from trainables.schemes import Rate, Scheme
from trainables.schemes.control import Control
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.line_search import LineSearch
from trainables.schemes.multilevel import MultiLevel
from trainables.seeds import generator
from trainables.testing import same
from trainables.trial import Trial
from trainables.updates.compiled import hoisted, ignores_zeros
from trainables.updates.flat import SMALL
from trainables.updates.tensorwise import LARGE

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


# --- many tensors as one -------------------------------------------------------------------------------------


MANY = {f"{place}.weight": ((3, 4), (5,), (7, 2), (), (1, SMALL + 1))[place % 5] for place in range(9)}
MANY["empty"] = (0, 3)
RULES = {
    "adam, matrices decayed": Composed(Adam(), Fixed(lr=0.01), Decoupled(0.1, on="matrices")),
    "hypergradient": Composed(SGD(), Hypergradient(lr=0.01)),
    "cprop": Composed(Momentum(), CProp()),
    "rmsprop": Composed(RMSProp(), Fixed(lr=0.01)),
    "hypergradient, adam": Composed(Adam(), Hypergradient(lr=0.01)),
}


def drawn(word, name):
    return torch.randn(MANY[name], generator=generator(word, name), dtype=torch.float64)


def moved(rule, names=MANY, still=None, scheduled=False, **settings):
    """Parameters and state after four steps, the gradients zeroed in place after each; one has none at first."""
    leaves = {name: nn.Parameter(drawn("start", name)) for name in names}
    optimizer = SchemeOptimizer(list(leaves.items()), rule.scheme, rule.direction, rule.decay, **settings)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5 if scheduled else 1.0)
    for step in range(4):
        for name, leaf in leaves.items():
            leaf.grad = None if name == still and step < 2 else drawn(f"gradient {step}", name)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        scheduler.step()
    return {name: leaf.detach() for name, leaf in leaves.items()}, optimizer.state_dict()["state"]


@pytest.mark.parametrize("rule", ["adam, matrices decayed", "hypergradient, adam", "cprop", "rmsprop"])
def test_a_compiled_optimizer_is_the_eager_one_but_for_rounding(rule):
    close(moved(RULES[rule], compile=True), moved(RULES[rule]))


def test_a_compiled_optimizer_leaves_what_has_no_gradient_and_follows_a_scheduler():
    settings = {"still": "2.weight", "scheduled": True}
    rule = RULES["adam, matrices decayed"]
    close(moved(rule, compile=True, **settings), moved(rule, **settings))


@pytest.mark.parametrize("on", ["all", "matrices"])
def test_a_compiled_optimizer_follows_a_model_that_changes_its_type(on):
    def trained(**compiled):
        leaf = nn.Parameter(torch.linspace(1, 2, 7, dtype=torch.float32))
        decay = Decoupled(weight_decay=0.01, on=on)
        optimizer = SchemeOptimizer([("weight", leaf)], Fixed(lr=0.1), Momentum(), decay, **compiled)
        for step in range(5):
            if step == 2:
                leaf.data = leaf.data.double()
            leaf.grad = leaf.detach().clone()
            optimizer.step()
        return leaf.detach()

    torch.testing.assert_close(trained(compile=True), trained(), rtol=1e-6, atol=1e-6)


def test_a_tensor_that_cannot_lie_flat_is_compiled_by_name_where_the_scheme_looks_at_it():
    def trained(**compiled):
        leaf = nn.Parameter(drawn("start", "0.weight").t())  # its strides are its own
        optimizer = SchemeOptimizer([("0.weight", leaf)], Hypergradient(lr=0.01), **compiled)
        for step in range(3):
            leaf.grad = drawn(f"gradient {step}", "0.weight").t()
            optimizer.step()
        return leaf.detach()

    torch.testing.assert_close(trained(compile=True), trained())


@pytest.mark.parametrize(
    "scheme", [Control(lr=0.1, scales="0:1 0.5:0.25"), Hypergradient(lr=0.01, form="multiplicative")]
)
def test_what_a_scheme_says_of_all_tensors_is_the_same_over_large_and_small_ones(scheme):
    names = {"large": (2, LARGE), "small": (3, 4), "other": (5,)}

    def trained(**compiled):
        leaves = {n: nn.Parameter(torch.linspace(-1, 1, math.prod(s)).view(s)) for n, s in names.items()}
        decay = Coupled(weight_decay=0.1)
        optimizer = SchemeOptimizer(list(leaves.items()), scheme, decay=decay, total_steps=4, **compiled)
        for _ in range(4):
            for leaf in leaves.values():
                leaf.grad = leaf.detach().cos()
            optimizer.step()
        return {name: leaf.detach() for name, leaf in leaves.items()}, optimizer.state_dict()["state"]

    ours, theirs = trained(compile=True), trained()
    torch.testing.assert_close(tree_leaves(ours), tree_leaves(theirs), rtol=2e-5, atol=1e-6)


def test_zeros_beside_a_tensor_are_seen_to_count_where_they_do():
    assert all(map(ignores_zeros, RULES.values()))
    counting = [Composed(Adam(eps=0.0), Hypergradient()), Composed(SGD(), CProp(eps=0.0)), Composed(scheme=Counting())]
    assert not any(map(ignores_zeros, counting))


@dataclass(frozen=True)
class Counting(Scheme):
    """The rate is one over the number of elements that it is given."""

    def init(self, params):
        return ()

    def rate(self, known):
        return Rate(torch.tensor(1 / known.params[""].numel(), dtype=torch.float64)), ()


def test_what_is_made_of_scalars_alone_is_computed_once_and_not_for_every_element():
    loops = []

    def backend(graph, inputs):
        parts = hoisted(graph, inputs)
        loops.append([str(node.target) for node in parts.submod_1.graph.nodes])
        return parts

    @torch.compile(backend=backend)
    def unbiased(mean, steps):
        return mean / (1 - 0.9**steps)

    mean, steps = torch.ones(40), torch.tensor(2.0, dtype=torch.float64)
    torch.testing.assert_close(unbiased(mean, steps), mean / (1 - 0.9**2))
    (loop,) = loops
    assert not any("pow" in word for word in loop)
    assert any("div" in word for word in loop)


def close(ours, theirs):
    torch.testing.assert_close(tree_leaves(ours), tree_leaves(theirs), rtol=1e-9, atol=1e-12)


def test_what_a_compiled_optimizer_moves_lies_in_one_tensor_and_stays_there():
    leaves = {name: nn.Parameter(drawn("start", name)) for name in MANY}
    optimizer = SchemeOptimizer(list(leaves.items()), Hypergradient(lr=0.1, beta=0.0), compile=True)
    places = []
    for step in range(3):
        for name, leaf in leaves.items():
            leaf.grad = drawn(f"gradient {step}", name)
        optimizer.step()
        places.append([leaf.data_ptr() for leaf in leaves.values()])
        versions = [leaf._version for leaf in leaves.values()]
    assert places[0] == places[1] == places[2]
    assert len({leaf.untyped_storage().data_ptr() for leaf in leaves.values() if leaf.numel()}) == 1
    assert all(versions)
    leaves["0.weight"].data = torch.zeros_like(leaves["0.weight"])  # somebody moves it elsewhere: taken from there
    before = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    optimizer.step()
    for name, leaf in leaves.items():
        torch.testing.assert_close(leaf.detach(), before[name] - 0.1 * leaf.grad)


def test_a_compiled_optimizer_goes_on_from_a_saved_state():
    def trained(broken):
        leaves = {name: nn.Parameter(drawn("start", name)) for name in MANY}

        def made():
            return SchemeOptimizer(list(leaves.items()), CProp(), Momentum(), compile=True)

        optimizer = made()
        for step in range(4):
            if broken and step == 2:
                saved, optimizer = optimizer.state_dict(), made()
                optimizer.load_state_dict(saved)
            for name, leaf in leaves.items():
                leaf.grad = drawn(f"gradient {step}", name)
            optimizer.step()
        return {name: leaf.detach() for name, leaf in leaves.items()}, optimizer.state_dict()["state"]

    assert same(trained(broken=True), trained(broken=False))


def test_a_compiled_optimizer_refuses_a_scheme_that_asks_for_more_than_the_gradient():
    with pytest.raises(Refusal, match="compile: true needs a scheme that asks for nothing but the gradient"):
        SchemeOptimizer([nn.Parameter(torch.ones(2))], LineSearch(), compile=True)


def test_networks_of_other_shapes_are_compiled_too_however_many_there_are():
    """Of one code torch compiles so many functions only, and runs all others uncompiled, without a word."""
    torch.compiler.reset()
    limits = {"recompile_limit": 1, "fail_on_recompile_limit_hit": True}
    with torch._dynamo.config.patch(limits):
        for width in (3, 4):
            run(**{"task.hidden": width, "compile": True}).step()


@pytest.mark.parametrize("direction", [Adam(), Momentum()], ids=["adam", "momentum"])
@pytest.mark.parametrize("alone", [False, True])
def test_a_parameter_without_a_dimension_may_stand_first(direction, alone):
    rule = Composed(direction, Fixed(lr=0.01))
    names = {name: shape for name, shape in MANY.items() if shape == () or not alone}
    first = dict(sorted(names.items(), key=lambda entry: entry[1] != ()))
    close(moved(rule, first, compile=True), moved(rule, first))


def test_a_sparse_gradient_is_a_dense_one_to_a_compiled_scheme_that_looks_at_tensors():
    def ends(**settings):
        torch.manual_seed(0)
        table = nn.Embedding(5, 3, sparse=True)
        optimizer = SchemeOptimizer(table, MultiLevel(lr=0.1), SGD(), **settings)
        for _ in range(3):
            optimizer.zero_grad()
            table(torch.tensor([1, 3, 3])).square().sum().backward()
            optimizer.step()
        return table.weight.detach()

    close(ends(compile=True), ends())
