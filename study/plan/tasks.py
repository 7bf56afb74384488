"""The same arms on several tasks: a study file's `tasks`, written out."""

from collections.abc import Iterable, Mapping
from typing import Any

from trainables.refusal import Refusal, unknown

Entries = dict[str, Any]

TASKS = "tasks"  # an arm's entry: the tasks that it runs on, where they are not all


def label(task: str) -> str:
    """The task's part of an arm's name: its own name without the file or module that it stands in.

    >>> label("fashion_mlp"), label("./my_task.py:Ring")
    ('fashion_mlp', 'Ring')
    """
    return task.rpartition(":")[2]


def class_notes(tasks: Iterable[str]) -> list[str]:
    """Say of each task of one's own which class its label stands for.

    >>> class_notes(["./my_task.py:Ring", "fashion_mlp"])
    ['Ring is the class ./my_task.py:Ring.']
    """
    return [f"{label(task)} is the class {task}." for task in dict.fromkeys(tasks) if label(task) != task]


def entry_of(arm: str, task: str) -> str:
    """The entry of `arms` that an arm was made of.

    Args:
        arm: the arm's name.
        task: the name of its task, which the arm's name ends in where a study has several.

    Returns:
        The name of the arm without that of the task.

    >>> entry_of("adam-digits_mlp", "digits_mlp"), entry_of("adam", "digits_mlp")
    ('adam', 'adam')
    >>> entry_of("adam-Ring", "./my_task.py:Ring")
    'adam'
    """
    return arm.removesuffix(f"-{label(task)}") or arm


def expand_tasks(
    arms: Mapping[str, Entries], tasks: Mapping[str, Entries], stopper: str | None = None
) -> dict[str, Entries]:
    """Every arm on every task, task by task, as arms that are called ARM-TASK; what an arm says goes before its task.

    Args:
        arms: the entries of every arm, without a task; `tasks` names those that it runs on, where it is not all.
        tasks: the entries that the arms share on each task.
        stopper: that of the study's common entries, whose fields a task may give.

    Returns:
        The entries of the arms by their new names.

    Raises:
        Refusal: where an arm or a task's entries name a task, where two tasks have the same label, and where an arm is
            to run on a task that is not there.

    >>> arms = {"sgd": {"trials": 4}, "adam": {"direction": "adam"}}
    >>> expand_tasks(arms, {"quadratic": {"trials": 8}})["sgd-quadratic"]
    {'task': 'quadratic', 'trials': 4}

    An arm that runs on some tasks names them.

    >>> list(expand_tasks({"sgd": {}, "lion": {"tasks": ["ring"]}}, {"quadratic": {}, "ring": {}}))
    ['sgd-quadratic', 'sgd-ring', 'lion-ring']

    A control names the arm that it controls, and controls it on each task.

    >>> expand_tasks({"control": {"control_of": "cprop"}}, {"quadratic": {}})
    {'control-quadratic': {'control_of': 'cprop-quadratic'}}
    """
    made: dict[str, Entries] = {}
    wanted = {name: _wanted(name, own, tasks) for name, own in arms.items()}
    arms = {name: {key: value for key, value in own.items() if key != TASKS} for name, own in arms.items()}
    for task, shared in tasks.items():
        for name, own in ((name, own) for name, own in arms.items() if task in wanted[name]):
            if "task" in own or "task" in shared:
                raise Refusal(f"arm {name!r}: task is given twice; a study with tasks gives it to its arms")
            here = f"{name}-{label(task)}"
            if here in made:
                raise Refusal(f"two tasks are called {label(task)!r}: give one of them another name")
            of = own.get("control_of")
            shared_here = {"task": task, **shared}
            made[here] = {**own, "control_of": f"{of}-{label(task)}"} if of else overlaid(shared_here, own, stopper)
    return made


def _wanted(name: str, own: Entries, tasks: Mapping[str, Entries]) -> list[str]:
    """The tasks that an arm runs on."""
    wanted = own.get(TASKS, list(tasks))
    if not isinstance(wanted, list) or not wanted:
        raise Refusal(f"arm {name!r}: tasks must be a list of tasks, got {wanted!r}")
    for task in wanted:
        if not isinstance(task, str) or task not in tasks:
            raise Refusal(f"arm {name!r}: {unknown('task', task, tasks)}")
    return wanted


def overlaid(shared: Mapping[str, Any], own: Mapping[str, Any], stopper: str | None = None) -> Entries:
    """Entries of an arm over those that it shares with others; of another stopper, or of none, it shares no field.

    Args:
        shared: the entries of all arms.
        own: the entries of this arm, which go before.
        stopper: the one that the shared fields are of, where they name none.

    Returns:
        Both as one mapping.

    >>> overlaid({"stopper": "asha", "stopper.reduction": 4, "trials": 2}, {"stopper": "none"})
    {'stopper': 'none', 'trials': 2}
    >>> overlaid({"stopper.reduction": 4}, {"stopper": "asha"})
    {'stopper.reduction': 4, 'stopper': 'asha'}
    """
    theirs, mine = shared.get("stopper", stopper), own.get("stopper")
    none = None, "none"  # study.search.stoppers.NO_STOPPER, which brings torch along
    another = "stopper" in own and mine != theirs and (mine in none or theirs not in none)
    kept = {key: value for key, value in shared.items() if not (another and key.startswith("stopper."))}
    return {**kept, **own}
