"""Control arms, written out: the same base, budget and searcher as the arm that each of them controls."""

from collections.abc import Mapping
from typing import Any, cast

import torch

from study.plan.key import checked_name
from study.plan.study import Arm
from trainables.components import members
from trainables.refusal import Refusal, unknown
from trainables.rules import Composed
from trainables.schemes import Scheme
from trainables.space import corner

EXTRA = "mean_scale"  # what a scheme records whose control can be asked for
CURVE = "scheme.scales"
KEPT = ("scheme.lr", "scheme.schedule")  # of the source's scheme


def derived(name: str, written: Mapping[str, Mapping[str, Any]], sources: Mapping[str, Arm]) -> Arm:
    """The control arm `name`; its source gives it everything: task, budget, searcher, hyper-parameters.

    Args:
        name: of the control.
        written: the arms as the study file has them.
        sources: those of them that are no controls, by name.

    Raises:
        Refusal: where what it controls is not there, is itself a control, stops early or does not measure its scale,
            and where the control says anything beside `control_of`.
    """
    of = written[checked_name("arm", name)]["control_of"]
    if isinstance(of, str) and of in written and of not in sources:
        above = written[of]["control_of"]
        raise Refusal(f"arm {name!r}: {of!r} is itself a control; name the arm that it controls, {above!r}")
    if not isinstance(of, str) or of not in sources:
        raise unknown(f"arm in control_of of {name!r}:", str(of), sources)
    if others := [key for key in written[name] if key != "control_of"]:
        raise Refusal(f"arm {name!r}: a control takes task, budget and all else from {of!r}; remove {others[0]}")
    source = sources[of]
    if source.stopper:
        raise Refusal(
            f"arm {name!r}: a control trains to its end; {of!r} must have no stopper, it has {source.stopper}"
        )
    _check_measures(name, source)
    settings = source.settings.model_copy(update={"control_of": of})
    fixed = {**shared_keys(source.fixed), "scheme": "control"}
    fixed.pop("fuse", None)  # every trial of a control has a curve of its own
    return source._replace(name=name, settings=settings, fixed=fixed, space=shared_keys(source.space))


def shared_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that the control shares with its source: all but the source's scheme, of which rate and schedule stay."""
    return {key: value for key, value in keys.items() if not key.startswith("scheme") or key.startswith(KEPT)}


def _check_measures(name: str, source: Arm) -> None:
    rule = source.trial({key: corner(domain) for key, domain in source.space.items()}, seed=0).rule
    if not isinstance(rule, Composed) or not measures(rule.scheme):
        good = [found for found, member in members(Scheme).items() if measures(cast("type[Scheme]", member)())]
        raise Refusal(
            f"arm {name!r}: {source.name!r} records no {EXTRA}; a control needs a scheme of {', '.join(good)}"
        )


def measures(scheme: Scheme) -> bool:
    """Tell if the scheme records the mean scale of its rates."""
    return EXTRA in scheme.extras(scheme.init({"0.weight": torch.zeros(1, 1)}))
