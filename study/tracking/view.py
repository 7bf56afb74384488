"""MLflow's own pages over a study: the view of its runs that its experiment keeps, and the address that opens it.

MLflow keeps a saved view in a tag of the experiment, as a name and the state of its page; `viewStateShareKey` in an
address opens it, and its menu "Views" offers it. Ours shows trials grouped by arm, the best first, with their cost and
status; and, of all trials together, parallel coordinates and a scatter plot with arm and rate as axes.
"""

import json
import math
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from mlflow.entities import Experiment

from study.tracking.store import ARM, PREFIX, RATE
from trainables.optimizers import finders
from trainables.space import Value

BEST = "best_valid_score"
COST = "passes"
KEY = "lr-study"
TAG = f"mlflow.sharedViewState.{KEY}"
KIND = ("mlflow.experimentKind", "custom_model_development")  # its page opens with runs, not with language models
RUN_NAME, STATUS = "attributes.`Run Name`", f"tags.`{PREFIX}status`"
TRIALS = f"tags.`{PREFIX}kind` = 'trial'"
HIDDEN = ("epoch", "diverged", "steps")  # metrics of which MLflow would draw a chart each
MOST = 6  # columns of what is searched


def axes(arm: str, flat: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """The parameters that a trial's run has beside its own, for the axes of MLflow's plots.

    Args:
        arm: the trial's.
        flat: the trial's own parameters.

    Returns:
        Names and values: the arm, and the logarithm of the rate where the trial is given one rate above 0 and does not
        find its own.
    """
    if flat.get("optimizer") in finders():
        return [(ARM, arm)]
    rates = [value for name, value in flat.items() if _is_rate(name) and isinstance(value, (int, float))]
    rate = [(RATE, round(math.log10(rates[0]), 4))] if len(rates) == 1 and rates[0] > 0 else []
    return [(ARM, arm), *rate]


def saved(contents: Mapping[str, Mapping[str, Any]], mode: str) -> str:
    """The view as MLflow keeps it in the tag `TAG`.

    Args:
        contents: arm → what it fixes and searches.
        mode: of the scores, max or min.
    """
    now = int(time.time() * 1000)
    state = json.dumps(_state(contents, mode))
    return json.dumps({"name": "lr-study: arms by score", "createdAt": now, "updatedAt": now, "state": state})


def view_address(pages: str, experiment: Experiment) -> str:
    """The address of a study in MLflow's pages; one recorded before there was a view is only sorted.

    Args:
        pages: where the pages are.
        experiment: the study's.
    """
    kept = {"viewStateShareKey": KEY} if TAG in experiment.tags else {"searchFilter": TRIALS, **_order("max")}
    words = urlencode({"workflowType": "machine_learning", **kept}, quote_via=quote)
    return f"{pages}/#/experiments/{experiment.experiment_id}/runs?{words}"


def _order(mode: str) -> dict[str, Any]:
    return {"orderByKey": _metric(BEST), "orderByAsc": mode == "min"}


def _state(contents: Mapping[str, Mapping[str, Any]], mode: str) -> dict[str, Any]:
    tasks = {str(arm.get("task")) for arm in contents.values()}
    groups = [*(["task"] if len(tasks) > 1 else []), ARM]
    columns = [_metric(BEST), _metric(COST), STATUS, *map(_param, _searched(contents)[:MOST])]
    return {
        "searchFilter": TRIALS,
        **_order(mode),
        "selectedColumns": columns,
        "columnOrder": [RUN_NAME, "runDateAndNestInfo", *columns],
        "columnWidths": {RUN_NAME: 240, _metric(BEST): 150},
        "groupBy": {
            "aggregateFunction": mode,
            "groupByKeys": [{"mode": "param", "groupByData": name} for name in groups],
        },
        "useGroupedValuesInCharts": False,  # a group has no rate
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [_part(KEY, name="Schemes", display=True, isReordered=False, columns=2, cardHeight=420)],
        "compareRunCharts": _charts(groups, rates=[_has_rate(arm) for arm in contents.values()]),
    }


def _charts(groups: list[str], rates: list[bool]) -> list[dict[str, Any]]:
    """Plots of all trials; charts of numbers that only count along are there, and deleted.

    Args:
        groups: the parameters that trials are grouped by.
        rates: of every arm, true where its trials have a rate. MLflow leaves a run out of a plot for which it lacks a
            number: where an arm has no rate, there is one more plot without.
    """
    across = {"selectedParams": [*groups, RATE], "selectedMetrics": [COST, BEST], "showAllRuns": True}
    points = {"xaxis": {"key": RATE, "type": "PARAM"}, "yaxis": {"key": BEST, "type": "METRIC"}}
    without = [] if all(rates) else [_chart("PARALLEL", "arms", **{**across, "selectedParams": groups})]
    return [
        *without,
        _chart("PARALLEL", "across", **across),
        _chart("SCATTER", "points", **points, runsCountToCompare=1000),
        *(_chart("LINE", name, metricKey=name, deleted=True, isGenerated=True) for name in HIDDEN),
    ]


def _chart(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return _part(f"{KEY}-{name}", type=kind, metricSectionId=KEY, **rest)


def _part(uuid: str, **rest: Any) -> dict[str, Any]:
    return {"uuid": uuid, "deleted": False, "isGenerated": False, **rest}


def _searched(contents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The parameters that an arm searches, in the order of the arms."""
    return list(dict.fromkeys(name for arm in contents.values() for name in arm if isinstance(arm[name], Mapping)))


def _has_rate(arm: Mapping[str, Any]) -> bool:
    """True where trials of an arm have the axis of the rate: `axes` gives it to no other."""
    return arm.get("optimizer") not in finders() and sum(map(_is_rate, arm)) == 1


def _is_rate(name: str) -> bool:
    return name.rpartition(".")[2] == "lr"


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _param(name: str) -> str:
    return f"params.`{name}`"
