"""The promises of every direction and scheme."""

import pytest
import torch
from torch.utils._pytree import tree_flatten

from trainables.components import Component, floats, slots, with_floats
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.oracle import Tensors
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes import Known, Rate, Scheme, State
from trainables.seeds import generator
from trainables.testing.fusing import check_fuses_or_says_why
from trainables.testing.problems import check_resume, copied, noisy_bowl, same, steps, two_layers
from trainables.updates.flat import by_name

LANE = {"task": "quadratic", "precision": "float64", "batch_size": 64, "evaluate_test": "never", "epochs": 1.0}


def check_fields(component: Component) -> None:
    """Every field is a hyper-parameter with a default that it allows, and survives being written and read."""
    for slot in slots(type(component), component.flat()).values():
        assert slot.checked(slot.default) == slot.default, f"the default of {slot.key} is not allowed"
        if slot.domain is not None:
            assert slot.default in slot.domain, f"the default of {slot.key} is outside its domain"
    assert type(component).parse(component.flat()) == component


class DirectionSuite:
    """The promises of every direction. Provide the fixture `direction`."""

    @pytest.fixture
    def direction(self) -> Direction:
        """The direction under test."""
        raise NotImplementedError("override the fixture `direction`")

    def test_fields(self, direction: Direction) -> None:
        check_fields(direction)

    def test_is_pure_and_deterministic(self, direction: Direction) -> None:
        param, grad = two_layers()["0.weight"], two_layers()["0.weight"] / 2
        state = direction.init(param)
        for _ in range(3):
            before = copied((grad, state, param))
            first = direction.apply(grad, state, param)
            assert same(before, (grad, state, param))
            assert same(first, direction.apply(grad, state, param))
            _, state = first

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_shape_and_dtype(self, direction: Direction, dtype: torch.dtype) -> None:
        param = two_layers(dtype)["0.weight"]
        state = direction.init(param)
        for _ in range(2):
            moved, after = direction.apply(param / 2, state, param)
            assert (moved.shape, moved.dtype) == (param.shape, dtype)
            assert [(t.shape, t.dtype) for t in tree_flatten(after)[0]] == [
                (t.shape, t.dtype) for t in tree_flatten(state)[0]
            ]
            state = after

    def test_descends_where_it_says_so(self, direction: Direction) -> None:
        param = two_layers()["0.weight"]
        state = direction.init(param)
        for step in range(20):
            grad = torch.randn(param.shape, generator=generator("descends", step), dtype=param.dtype)
            moved, state = direction.apply(grad, state, param)
            assert not direction.descends or (grad * moved).sum() > 0

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_taken_for_one_its_tensors_get_the_same_bits(self, direction: Direction, dtype: torch.dtype) -> None:
        check_flat(Composed(direction=direction, decay=Coupled(0.1)), dtype)
        check_flat(Composed(direction=direction, decay=Decoupled(0.1, on="matrices")), dtype)

    def test_vmap_over_its_numbers_equals_the_loop(self, direction: Direction) -> None:
        check_vmap(Composed(direction=direction))

    def test_fuses(self, direction: Direction) -> None:
        check_fuses_or_says_why(Composed(direction=direction), LANE)


class SchemeSuite:
    """The promises of every scheme. Provide the fixture `scheme`, and `direction` where SGD does not fit."""

    @pytest.fixture
    def scheme(self) -> Scheme:
        """The scheme under test."""
        raise NotImplementedError("override the fixture `scheme`")

    @pytest.fixture
    def direction(self) -> Direction:
        """The direction it is tried on."""
        return SGD()

    def test_fields(self, scheme: Scheme) -> None:
        check_fields(scheme)

    def test_is_pure_and_deterministic(self, scheme: Scheme, direction: Direction) -> None:
        rule, params = Composed(direction=direction, scheme=scheme), two_layers()
        state = rule.init(params)
        for step in range(4):
            progress = torch.tensor(step / 4, dtype=torch.float64)
            before = copied((params, state))
            first = rule.step(noisy_bowl(step), params, state, progress)
            assert same(before, (params, state))
            assert same(first, rule.step(noisy_bowl(step), params, state, progress))
            state = rule.after_epoch(first.state, 0.5)
            assert same(state, rule.after_epoch(first.state, 0.5))
            params = first.params

    def test_keeps_the_structure_of_its_state(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        for dtype in (torch.float32, torch.float64):
            params, after = steps(rule, 2, dtype)
            fresh, structure = tree_flatten(rule.init(params))
            leaves, structure_after = tree_flatten(rule.after_epoch(after, 0.5))
            assert structure == structure_after
            assert [(t.shape, t.dtype) for t in fresh] == [(t.shape, t.dtype) for t in leaves]
            assert all(param.dtype == dtype for param in params.values())

    def test_taken_for_one_its_tensors_get_the_same_bits(self, scheme: Scheme, direction: Direction) -> None:
        for dtype in (torch.float32, torch.float64):
            check_flat(Composed(direction=direction, scheme=scheme, decay=Coupled(0.1)), dtype)

    def test_resumes_bit_for_bit(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        check_resume({"task": "quadratic", "epochs": 3.0, **rule.flat()}, interrupt=6)

    def test_says_whether_its_rate_has_a_scale(
        self, scheme: Scheme, direction: Direction, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rates, rate = list[Rate](), type(scheme).rate

        def heard(own: Scheme, known: Known) -> tuple[Rate, State]:
            chosen, state = rate(own, known)
            rates.append(chosen)
            return chosen, state

        monkeypatch.setattr(type(scheme), "rate", heard)
        steps(Composed(direction=direction, scheme=scheme), 2)
        assert {one.scale is not None for one in rates} == {scheme.scaled}

    def test_extras_are_scalars(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        _, state = steps(rule, 2)
        assert all(value.numel() == 1 for value in rule.extras(state).values())

    def test_vmap_over_its_numbers_equals_the_loop(self, scheme: Scheme, direction: Direction) -> None:
        if scheme.vmaps:
            check_vmap(Composed(direction=direction, scheme=scheme))
        else:
            assert scheme.asks, "only oracle calls are a reason not to vmap"

    def test_fuses_or_says_why_not(self, scheme: Scheme, direction: Direction) -> None:
        check_fuses_or_says_why(Composed(direction=direction, scheme=scheme), LANE)


def check_flat(rule: Composed, dtype: torch.dtype) -> None:
    """Parameters that lie in one flat tensor move, bit for bit, as those that are called on by name.

    Args:
        rule: makes a few steps
        dtype: of the parameters
    """
    with by_name():
        expected = steps(rule, 3, dtype)
    assert same(steps(rule, 3, dtype), expected)


def check_vmap(rule: Composed) -> None:
    """`torch.vmap` over all real numbers of a rule gives what a loop over them gives, to rounding."""
    numbers = {key: torch.tensor([value, value * 0.5], dtype=torch.float64) for key, value in floats(rule).items()}
    params, raw, progress = two_layers(), two_layers(), torch.tensor(0.5, dtype=torch.float64)
    state, first_batch, second_batch = rule.init(params), noisy_bowl(0), noisy_bowl(1)

    def twice(values: Tensors) -> Tensors:
        varied = with_floats(rule, values)
        first, after = varied.update(raw, params, state, progress, first_batch)
        return varied.update(raw, first, after, progress, second_batch)[0]

    batched = torch.vmap(twice)(numbers)
    for row in range(2):
        alone = twice({key: values[row] for key, values in numbers.items()})
        for name, param in alone.items():
            torch.testing.assert_close(batched[name][row], param, rtol=1e-12, atol=1e-12)
