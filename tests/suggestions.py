"""Write the golden list of suggestions again: `uv run python tests/suggestions.py`, only where it may change."""

import json
import math
from pathlib import Path

from study.dispatch.outcome import Outcome
from study.dispatch.searching import Searching
from study.plan.parse import parse

GOLDEN = Path(__file__).with_name("suggestions.json")
CASES = {
    **{name: f"searcher: {name}" for name in ("random", "sobol", "halton", "gp", "cmaes", "tpe")},
    "tpe, four at once": "searcher: tpe, parallel: 4",
}
TRIALS = 16


def suggestions(settings: str) -> list[list[float]]:
    """Sixteen configurations, [rate, momentum] each, of a search whose results are a bowl in both.

    Args:
        settings: of the search, as a study file writes them.
    """
    fields = "scheme.lr: {log_uniform: [1e-5, 10]}, direction: momentum, direction.momentum: {uniform: [0.0, 0.99]}"
    text = f"{{question: q, common: {{task: quadratic, {settings}, trials: {TRIALS}}}, arms: {{a: {{{fields}}}}}}}"
    searching, found, open_trials = Searching(next(parse(text, "golden").searches())), [], []
    while not searching.exhausted:
        while not searching.ready:
            _finish(searching, *open_trials.pop(0))
        suggestion = searching.suggest()
        found.append([suggestion.values["scheme.lr"], suggestion.values["direction.momentum"]])
        open_trials.append((suggestion.k, suggestion.values))
    return found


def _finish(searching: Searching, k: int, values: dict[str, float]) -> None:
    rate, momentum = values["scheme.lr"], values["direction.momentum"]
    searching.observe(k, Outcome("finished", (math.log10(rate) + 2) ** 2 + (momentum - 0.8) ** 2))


def _text(found: dict[str, list[list[float]]]) -> str:
    """JSON, a line a sampler and suggestion."""
    lists = [f"{json.dumps(name)}: [\n " + ",\n ".join(map(json.dumps, rows)) + "\n]" for name, rows in found.items()]
    return "{\n" + ",\n".join(lists) + "\n}\n"


if __name__ == "__main__":
    GOLDEN.write_text(_text({name: suggestions(text) for name, text in CASES.items()}))
