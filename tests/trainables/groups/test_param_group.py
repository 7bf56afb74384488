"""SchemeOptimizer's parameters and numbers: what torch takes is moved as torch moves it, or refused in one line."""

import pytest
import torch
from torch import nn

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adagrad import Adagrad
from trainables.directions.adam import Adam, AMSGrad
from trainables.directions.momentum import Momentum
from trainables.directions.rmsprop import RMSProp
from trainables.directions.sgd import SGD
from trainables.optimizer import SchemeOptimizer
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes import Scheme
from trainables.schemes.cprop import CProp
from trainables.schemes.curvature import Curvature
from trainables.schemes.fixed import Fixed
from trainables.schemes.line_search import LineSearch
from trainables.schemes.multilevel import MultiLevel
from trainables.testing import same

every_scheme = pytest.mark.parametrize("scheme", [make() for make in members(Scheme).values()], ids=members(Scheme))


def steps(optimizer, loss, count=3):
    for _ in range(count):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def weights(*shape, seed=0, dtype=torch.float64):
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype))


# --- names ---------------------------------------------------------------------------------------------------


def test_two_parameters_of_one_name_both_move():
    found = []
    for make in (lambda p: SchemeOptimizer(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)):
        torch.manual_seed(0)
        body, head = nn.Linear(4, 8), nn.Linear(8, 2)
        steps(make([*body.named_parameters(), *head.named_parameters()]), lambda: head(body(torch.ones(1, 4))).sum())  # noqa: B023
        found.append([body.state_dict(), head.state_dict()])
    torch.testing.assert_close(*found)


def test_layers_of_one_name_are_refused():
    body, head = nn.Linear(4, 8), nn.Linear(8, 2)
    with pytest.raises(Refusal, match="rates for layers need names"):
        SchemeOptimizer([*body.named_parameters(), *head.named_parameters()], MultiLevel())


@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
def test_a_parameter_given_twice_is_refused():
    w = weights(2)
    with pytest.raises(Refusal, match="twice"):
        SchemeOptimizer([("a", w), ("b", w)])


# --- kinds of numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(), torch.optim.SGD),
        (Momentum(), lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)),
        (Adam(), torch.optim.Adam),
        (AMSGrad(), lambda p, lr: torch.optim.Adam(p, lr=lr, amsgrad=True)),
        (RMSProp(), torch.optim.RMSprop),
        (Adagrad(eps=1e-10), torch.optim.Adagrad),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Direction) else "",
)
def test_complex_parameters_move_as_torchs(ours, theirs):
    w, v = weights(3, dtype=torch.complex128), weights(3, dtype=torch.complex128)
    for param, optimizer in ((w, SchemeOptimizer([w], direction=ours, lr=0.1)), (v, theirs([v], lr=0.1))):
        steps(optimizer, lambda param=param: ((2 + 1j) * param * param.conj() + 3j * param).real.sum())
    torch.testing.assert_close(w, v, rtol=0, atol=1e-12)


@every_scheme
def test_complex_parameters_are_two_real_ones_or_refused(scheme):
    w = weights(3, 2, dtype=torch.complex128)
    pair = nn.Parameter(torch.view_as_real(w.detach()).clone())
    if scheme.asks:
        with pytest.raises(Refusal, match=r"takes real parameters, got one of torch.complex128"):
            SchemeOptimizer([w], scheme)
        return
    steps(SchemeOptimizer([("w", w)], scheme), lambda: (w * w.conj()).real.sum())
    steps(SchemeOptimizer([("w", pair)], scheme), lambda: pair.square().sum())
    assert same(torch.view_as_real(w.detach()), pair.detach())


def test_a_complex_vector_is_not_taken_for_a_matrix():
    with pytest.raises(Refusal, match=r"decay.on: matrices tells real vectors, got one of torch.complex128"):
        SchemeOptimizer([weights(3, dtype=torch.complex128)], decay=Decoupled(0.1, on="matrices"))


def test_a_trial_refuses_complex_parameters():
    with pytest.raises(Refusal, match=r"parameters must be real, got 'w' of torch.complex128"):
        Composed().init({"w": weights(2, dtype=torch.complex128)})


@pytest.mark.parametrize("decay", [Coupled(0.0), Coupled(0.1), Decoupled(0.1)], ids=str)
@pytest.mark.parametrize("scheme", [Fixed(lr=0.1), CProp(lr=0.1)], ids=["fixed", "cprop"])
def test_sparse_gradients_move_what_dense_ones_do(scheme, decay):
    found = []
    for sparse in (True, False):
        torch.manual_seed(0)
        table = nn.Embedding(5, 2, sparse=sparse)
        steps(SchemeOptimizer(table, scheme, SGD(), decay), lambda: table(torch.tensor([1, 1, 3])).square().sum())  # noqa: B023
        found.append(table.state_dict())
    assert same(*found)


def test_sparse_gradients_are_refused_by_directions_that_remember():
    table = nn.Embedding(5, 2, sparse=True)
    with pytest.raises(Refusal, match="direction 'adam' takes no sparse gradient, 'weight' has one: sgd does"):
        steps(SchemeOptimizer(table, direction=Adam()), lambda: table(torch.tensor([1])).sum())


def test_sparse_gradients_are_refused_where_their_curvature_is_asked_for():
    table = nn.Embedding(5, 2, sparse=True)
    with pytest.raises(Refusal, match="a curvature needs dense gradients, 'weight' has a sparse one"):
        SchemeOptimizer(table, Curvature(), total_steps=3).step(lambda: table(torch.tensor([1])).square().sum())


@every_scheme
def test_parameters_without_elements_change_nothing(scheme):
    found = []
    for more in ([], [("empty", nn.Parameter(torch.zeros(0, 3, dtype=torch.float64)))]):
        w = weights(2, 3)
        optimizer = SchemeOptimizer([("w", w), *more], scheme, total_steps=3)
        for _ in range(3):
            if scheme.asks:
                optimizer.step(lambda w=w, more=more: w.square().sum() + sum(p.sum() for _, p in more))
            else:
                steps(optimizer, lambda w=w: w.square().sum(), count=1)
        found.append(w.detach())
    assert same(*found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scheme", [CProp(), MultiLevel(levels="global+unit"), MultiLevel(levels="parameter")], ids=str)
def test_a_type_in_which_a_state_would_stand_still_is_refused(scheme, dtype):
    """A parameter's own average or rate; a scalar is kept in double precision."""
    optimizer = SchemeOptimizer([("0.w", weights(2, 2))], scheme)
    with pytest.raises(Refusal, match=f"would stand still in {dtype}, .*: keep parameters in float32"):
        optimizer.add_param_group({"params": [("1.w", weights(2, 2, dtype=dtype))]})
    assert len(optimizer.param_groups) == 1
    SchemeOptimizer([("1.w", weights(2, 2, dtype=dtype))], MultiLevel())
    SchemeOptimizer([("1.w", weights(2, 2, dtype=dtype).requires_grad_(False))], scheme)  # it may: a base of adapters


# --- sharded parameters --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Of one process; what it takes is imported here, in seconds that no other test waits for."""
    from torch.distributed import destroy_process_group, init_process_group
    from torch.distributed.device_mesh import init_device_mesh

    store = tmp_path_factory.mktemp("mesh") / "store"
    init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    destroy_process_group()


@every_scheme
def test_sharded_parameters_are_refused(scheme, mesh):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Shard, distribute_tensor

    one = nn.Parameter(distribute_tensor(torch.ones(4, 4), mesh, [Shard(0)]))
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    fully_shard(model, mesh=mesh)
    for params in ([("0.weight", one)], model):
        with pytest.raises(Refusal, match="takes whole parameters, got sharded ones"):
            SchemeOptimizer(params, scheme)


# --- rates and decays ----------------------------------------------------------------------------------------


def test_lr_is_the_schemes_rate():
    for scheme in (None, CProp()):
        w = weights(2)
        optimizer, before = SchemeOptimizer([w], scheme, lr=0.25), w.detach().clone()
        steps(optimizer, lambda w=w: 2 * w.sum(), count=1)
        assert optimizer.extras()[0]["lr"] == 0.25
        torch.testing.assert_close(before - w.detach(), torch.full_like(before, 0.5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -0.1}, r"scheme.lr must lie in \[0, inf\], got -0.1"),
        ({"lr": float("nan")}, "scheme.lr must be a number, got nan"),
        ({"scheme": Fixed(lr=-1.0)}, r"scheme.lr must lie in \[0, inf\], got -1.0"),
        ({"scheme": CProp(beta=1.5)}, "scheme.beta must lie in"),
        ({"direction": Momentum(momentum=-0.9)}, r"direction.momentum must lie in \[0, 1\], got -0.9"),
        ({"weight_decay": -0.1}, r"decay.weight_decay must lie in \[0, inf\], got -0.1"),
        ({"weight_decay": float("nan")}, "decay.weight_decay must be a number, got nan"),
        ({"decay": Decoupled(-1.0)}, r"decay.weight_decay must lie in \[0, inf\], got -1.0"),
        ({"scheme": 0.1}, r"scheme must be a Scheme such as CProp\(lr=0.1\), got 0.1; a rate alone is given as lr="),
        ({"scheme": CProp}, "scheme must be a Scheme"),
        ({"direction": 0.9}, "direction must be a Direction, got 0.9"),
        ({"scheme": Curvature(), "lr": 0.1}, "scheme 'curvature' has no lr: its fields are level, schedule"),
        ({"total_steps": -5}, "total_steps must be at least 1, got -5"),
    ],
)
def test_numbers_that_no_study_may_have_are_refused(settings, message):
    with pytest.raises(Refusal, match=message):
        SchemeOptimizer([weights(2)], **settings)


@pytest.mark.parametrize("group", [{"lr": -1.0}, {"lr": float("nan")}, {"weight_decay": -1.0}], ids=str)
def test_a_group_with_such_numbers_is_refused_and_not_kept(group):
    optimizer = SchemeOptimizer([weights(2)], lr=0.1)
    with pytest.raises(Refusal, match="must"):
        optimizer.add_param_group({"params": [weights(3)], **group})
    assert len(optimizer.param_groups) == 1


def test_a_rate_for_a_group_of_a_scheme_that_has_none_is_refused():
    with pytest.raises(Refusal, match="scheme 'curvature' has no lr"):
        SchemeOptimizer([{"params": [weights(2)], "lr": 0.1}], Curvature())


@pytest.mark.parametrize(("first", "now"), [(0.1, -0.1), (0.1, float("nan")), (0.0, 0.1)])
def test_what_no_scheduler_may_make_of_a_rate_is_refused(first, now):
    optimizer = SchemeOptimizer([w := weights(2)], lr=first)
    optimizer.param_groups[0]["lr"] = now
    with pytest.raises(Refusal, match="lr may change to a number of at least 0 from one above 0"):
        steps(optimizer, lambda: w.sum(), count=1)


def test_a_group_without_parameters_is_stepped_over():
    w = weights(2)
    optimizer = SchemeOptimizer([{"params": []}, {"params": [w]}], MultiLevel(levels="global+unit"))
    before = w.detach().clone()
    steps(optimizer, lambda: w.sum())
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.after_epoch(0.5)
    assert len(optimizer.extras()) == 1
    assert not same(before, w.detach())


def test_nothing_but_frozen_parameters_is_refused_where_a_way_must_be_found():
    w = weights(2).requires_grad_(False)
    with pytest.raises(Refusal, match="no parameter takes a gradient"):
        SchemeOptimizer([w], LineSearch()).step(lambda: w.sum())


@pytest.mark.parametrize(
    "scheme", [Fixed(lr=0.1), CProp(lr=0.1), MultiLevel(lr=0.1, beta=0.0)], ids=["fixed", "cprop", "levels"]
)
def test_a_parameter_of_no_dimension_keeps_its_type_and_moves_as_a_vector_of_one(scheme):
    for direction in members(Direction).values():
        found = []
        for shape in ((), (1,)):
            w = nn.Parameter(torch.full(shape, 2.0))
            steps(SchemeOptimizer([("w", w)], scheme, direction(), Coupled(0.1)), lambda w=w: w.square().sum())
            found.append(w.detach().reshape(()))
        assert found[0].dtype == torch.float32
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("own", [{"maximize": True}, {"momentum": 0.9}, {"betas": (0.9, 0.99)}], ids=str)
def test_what_a_group_would_not_heed_is_refused(own):
    param = nn.Parameter(torch.ones(2))
    with pytest.raises(Refusal, match=f"a group of a SchemeOptimizer has no {next(iter(own))} of its own"):
        SchemeOptimizer([{"params": [param], **own}])
