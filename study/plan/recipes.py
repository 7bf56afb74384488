"""The way to a curvature, settled before anything starts and recorded with every trial."""

from study.plan.study import Arm
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.run.recipes import recipe_of
from trainables.schemes.curvature import Curvature
from trainables.space import Choice, Integer, corner
from trainables.tasks import Task

KEY = "scheme.recipe"
JETS = "adjoints", "sweep"
SHAPELESS = "scheme", "direction", "decay"  # keys below these leave the network as it is


def settled(arm: Arm) -> Arm:
    """The arm with its way to a curvature: `auto` becomes the faster one; this reads the data and makes the network.

    It stays `auto`, and every trial settles it by the same rule, where what is searched may change the network or its
    mini-batches, and where the loop is the user's.

    Args:
        arm: checked; of any scheme.

    Raises:
        Refusal: jets are asked for, and the network has a call without one.
    """
    trial = arm.trial({key: corner(domain) for key, domain in arm.space.items()}, seed=0)
    if not (isinstance(trial.rule, Composed) and isinstance(trial.rule.scheme, Curvature)):
        return arm
    domain, recipe = arm.space.get(KEY), trial.rule.scheme.recipe
    asked = domain.options if isinstance(domain, Choice) else (recipe,)
    if not isinstance(trial.task, Task) or set(asked) == {"graph"}:
        return arm
    found = recipe_of(trial)
    jets = next((each for each in asked if each in JETS), None)
    if jets and found.refused:
        raise Refusal(f"arm {arm.name!r}: {KEY}: {jets} needs a jet of every call, and {found.refused}: say auto")
    return arm if recipe != "auto" or _is_open(arm) else arm._replace(settled=((KEY, found.recipe),))


def _is_open(arm: Arm) -> bool:
    """True where trials of the arm may differ in their networks, or in the sizes of their mini-batches."""
    shapes = {key for key, domain in arm.space.items() if isinstance(domain, (Choice, Integer))}
    return KEY in arm.space or any(key.split(".")[0] not in SHAPELESS for key in shapes)
