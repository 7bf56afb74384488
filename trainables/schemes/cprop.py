"""CProp: an element's rate shrinks while the sign of its mean gradient is in doubt."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import torch
from torch import Tensor

from trainables.oracle import Tensors
from trainables.schedules import Constant, Schedule
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting

CDF: TypeAlias = Literal["normal", "cubic", "linear", "variance"]
BLOCK = 32_768  # elements worked on at a time: what a step needs of them then stays in the cache


class History(NamedTuple):
    """The memory of the gradients."""

    mean: Tensors  # m, one tensor a parameter, shaped like it
    square: Tensors  # v, likewise
    num_seen: Tensor  # n = Σ_{i<t} βⁱ = (1 − βᵗ)/(1 − β), the gradients that the means amount to, a scalar
    scale: Tensor  # the mean of the last s over all elements, a scalar
    mean_scale: Tensor  # the mean of that over all steps so far, a scalar
    num_steps: Tensor  # those steps, a scalar


N = TypeVar("N", float, float | Tensor)


class Numbers(NamedTuple, Generic[N]):
    """The scalars of one step: real numbers, or tensors of no dimension."""

    keep: N  # β
    bias: N  # b = 1 − βᵗ
    variance: N  # n − 1 + ε, where n = b/(1−β)
    eps: N
    confidence: N  # c


class Part(NamedTuple):
    """One tensor's share of a step."""

    scale: Tensor
    mean: Tensor
    square: Tensor


@dataclass(frozen=True)
class CProp(Scheme):
    """rate = lr · schedule(progress) · s, element by element  (Preechakul & Kijsirikul 2019, arXiv 1912.11493).

    m ← m + (1−β)(g − m),  v ← v + (1−β)(g² − v),  b = 1 − βᵗ,  m̂ = m/b,  v̂ = v/b,  n = b/(1−β),
    se = √(max(v̂ − m̂², 0)/(n − 1 + ε)) + ε,  **s = min(1, 2c·|Φ(−m̂/se) − ½|)**;

    β, c and ε are `beta`, `c` and `eps`. c = inf means s ≡ 1: the base itself, bit for bit. Φ is chosen by `cdf`:

    - `normal`: the normal law, exactly;
    - `cubic`: 1/(1 + exp(−0.07056 z³ − 1.5976 z)), z = −m̂/se, which is the authors' default;
    - `linear`: 1/(1 + exp(−1.702 z));
    - `variance`: the logistic law of variance 1, 1/(1 + exp(−πz/√3)).

    `order` says which gradient g is: `sgd` reads the raw one, before weight decay and momentum, and `adam` the one
    after coupled weight decay, as the authors do in their SGD and in their Adam. The variance of one gradient
    is 0, where n − 1 + ε = ε would amplify rounding: the first s is min(1, c) wherever g ≠ 0, and 0 elsewhere.
    s ≤ 1: CProp only ever shrinks the rate, so compare it with its base at lr × mean s: the scheme `control`, which a
    study derives from the recorded `mean_scale` of another arm (`control_of`).

    >>> from trainables.schemes import Gradients
    >>> scheme, params = CProp(lr=0.1, beta=0.5, cdf="normal", eps=0.0), {"w": torch.zeros(1)}
    >>> state, progress = scheme.init(params), torch.tensor(0.0)
    >>> for g in (1.0, 0.0):  # m̂ = 1/3, v̂ = 1/3, n = 3/2: z = −(1/3)/√(2/9 / ½) = −½ and erf(½/√2) = .3829
    ...     grads = Gradients({"w": torch.tensor([g])}, {})
    ...     rate, state = scheme.rate(Known(None, grads, {}, state, params, progress))
    >>> round(rate.scale["w"].item(), 4), round(state.scale.item(), 4)
    (0.3829, 0.3829)
    """

    elementwise: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-5, 1e1), default=0.1, valid=(0.0, float("inf")))
    schedule: Schedule = field(default_factory=Constant)
    beta: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    c: float = setting(1.0, valid=(0.0, float("inf")))
    eps: float = setting(1e-8, valid=(1e-30, 1.0))
    cdf: Literal["normal", "cubic", "linear", "variance"] = setting("cubic")
    order: Literal["sgd", "adam"] = setting("sgd")

    @property
    def fine(self) -> bool:
        """True: both means are."""
        return True

    @property
    def scaled(self) -> bool:
        """True unless c = inf."""
        return not (isinstance(self.c, float) and math.isinf(self.c))

    def init(self, params: Tensors) -> History:
        """Nothing seen: m = v = 0 and n = 0."""
        zeros = {name: torch.zeros_like(param) for name, param in params.items()}
        one = torch.ones((), dtype=torch.float64, device=next(iter(params.values())).device if params else None)
        zero = torch.zeros((), dtype=torch.float64)
        return History(zeros, zeros, zero, one, one, zero)

    def rate(self, known: Known) -> tuple[Rate, History]:
        """The base rate and s after this gradient."""
        state: History = known.state
        base = self.lr * self.schedule(known.progress)
        if not self.scaled:
            return Rate(base), state
        count = self.beta * state.num_seen + 1
        numbers = Numbers(self.beta, count * (1 - self.beta), count - 1 + self.eps, self.eps, self.c)
        seen = known.grads.raw if self.order == "sgd" else known.grads.decayed
        parts = {n: self._part(g, state.mean[n], state.square[n], count == 1, numbers) for n, g in seen.items()}
        trained = [part.scale for name, part in parts.items() if name not in known.frozen]
        size = sum(scale.numel() for scale in trained) if known.numel is None else known.numel
        scale = torch.stack([scale.sum() for scale in trained]).sum(dtype=torch.float64) / size
        steps = state.num_steps + 1
        after = History(
            {name: part.mean for name, part in parts.items()},
            {name: part.square for name, part in parts.items()},
            count,
            scale,
            state.mean_scale + (scale - state.mean_scale) / steps,
            steps,
        )
        return Rate(base, {name: part.scale for name, part in parts.items()}), after

    def _part(self, grad: Tensor, mean: Tensor, square: Tensor, first: Tensor, numbers: Numbers[Any]) -> Part:
        if _is_plain(grad, *numbers, first):
            return in_blocks(grad, mean, square, bool(first), Numbers(*map(float, numbers)), self.cdf)
        return reference(grad, mean, square, first, numbers, self.cdf)

    def extras(self, state: History) -> dict[str, Tensor]:
        """`scale`: the mean of s over all elements at the last step; `mean_scale`: its mean over all steps so far."""
        return {"scale": state.scale, "mean_scale": state.mean_scale}


FACTOR = {"normal": math.sqrt(0.5), "cubic": 1.0, "linear": 1.702 / 2, "variance": math.pi / math.sqrt(12)}
SLOPE, CUBE = 1.5976 / 2, 0.07056 / 2


def certainty(z: Tensor, cdf: CDF) -> Tensor:
    """2|Φ(z) − ½| for z ≥ 0: erf(z/√2), or tanh(x/2) for a logistic Φ = 1/(1 + exp(−x)).

    Args:
        z: |m̂|/se, at least 0
        cdf: the law Φ

    Returns:
        A tensor shaped like z, in [0, 1].

    >>> [round(certainty(torch.tensor(1.0), cdf).item(), 4) for cdf in ("normal", "cubic", "linear", "variance")]
    [0.6827, 0.6827, 0.6916, 0.7196]
    """
    z = z * FACTOR[cdf]
    if cdf == "normal":
        return torch.erf(z)
    return torch.tanh(z * (CUBE * z * z + SLOPE) if cdf == "cubic" else z)


def reference(grad: Tensor, mean: Tensor, square: Tensor, first: Tensor, numbers: Numbers[Any], cdf: CDF) -> Part:
    """s, m and v after one more gradient of one tensor, as the paper writes them.

    Numbers are inverted before they meet tensors: a compiled update is bound by its divisions, not by memory.

    Args:
        grad: of one tensor, as all that follow
        mean: m, before
        square: v, before
        first: a scalar, true at t = 1
        numbers: of the scheme at this step
        cdf: as for `certainty`

    Returns:
        New tensors.
    """
    mean = mean + (1 - numbers.keep) * (grad - mean)
    square = square + (1 - numbers.keep) * (grad * grad - square)
    mean_hat, square_hat = mean * (1 / numbers.bias), square * (1 / numbers.bias)
    error = ((square_hat - mean_hat * mean_hat).clamp(min=0) * (1 / numbers.variance)).sqrt() + numbers.eps
    sure = torch.where(first, (grad != 0).to(grad.dtype), certainty((mean_hat / error).abs(), cdf))
    scale = (numbers.confidence * sure).clamp(max=1)
    if isinstance(numbers.confidence, Tensor):  # c = inf means s ≡ 1, also where certainty is 0 and inf · 0 is not
        scale = torch.where(numbers.confidence == math.inf, torch.ones_like(scale), scale)
    return Part(scale, mean, square)


def in_blocks(grad: Tensor, mean: Tensor, square: Tensor, first: bool, numbers: Numbers[float], cdf: CDF) -> Part:
    """The same on the CPU, block by block, each written once into new tensors: about half the time.

    Args:
        grad: of one tensor
        mean: m, before
        square: v, before
        first: whether t = 1
        numbers: of the scheme at this step
        cdf: as for `certainty`

    Returns:
        New tensors.
    """
    result = Part(torch.empty_like(grad), torch.empty_like(mean), torch.empty_like(square))
    if not (grad.is_contiguous() and all(tensor.is_contiguous() for tensor in (mean, square, *result))):
        return reference(grad, mean, square, torch.tensor(first), numbers, cdf)
    scratch, slopes = grad.new_empty(min(BLOCK, grad.numel())), grad.new_full((min(BLOCK, grad.numel()),), SLOPE)
    flat = [tensor.view(-1).split(BLOCK) for tensor in (grad, mean, square, *result)]
    for g, m, v, *written in zip(*flat, strict=True):
        _block(g, m, v, Part(*written), scratch[: len(g)], slopes[: len(g)], first, numbers, cdf)
    return result


def _block(
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    written: Part,
    scratch: Tensor,
    slopes: Tensor,
    first: bool,
    numbers: Numbers[float],
    cdf: CDF,
) -> None:
    """One block of `in_blocks`: fills `written`, with `scratch` to spare; `slopes` is SLOPE everywhere."""
    keep, bias, variance, eps, confidence = numbers
    torch.lerp(mean, grad, 1 - keep, out=written.mean)
    torch.mul(square, keep, out=written.square).addcmul_(grad, grad, value=1 - keep)
    if first:
        torch.ne(grad, 0, out=written.scale).mul_(min(1.0, confidence))
        return
    # scratch = se · b / factor, so that m/scratch is factor · m̂/se: every division by a scalar is folded in.
    shrink = FACTOR[cdf] ** -2 / variance
    torch.mul(written.square, bias * shrink, out=scratch).addcmul_(written.mean, written.mean, value=-shrink)
    scratch.clamp_(min=0).sqrt_().add_(eps * bias / FACTOR[cdf])
    z = torch.div(written.mean, scratch, out=written.scale).abs_()
    if cdf == "normal":
        z.erf_()
    elif cdf == "cubic":
        z.mul_(torch.addcmul(slopes, z, z, value=CUBE, out=scratch)).tanh_()
    else:
        z.tanh_()
    if confidence != 1:
        z.mul_(confidence).clamp_(max=1)


def _is_plain(grad: Tensor, *numbers: float | Tensor) -> bool:
    """True where real memory may be walked: an ordinary CPU tensor, outside of vmap, autograd and the compiler."""
    if (
        type(grad) is not Tensor
        or torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or grad.device.type != "cpu"
    ):
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # type: ignore[attr-defined]  — torch has no public name
    return not any(isinstance(tensor, Tensor) and wrapped(tensor) for tensor in (grad, *numbers))
