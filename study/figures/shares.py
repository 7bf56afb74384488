"""The cost of the target as a share of the baseline's, with its interval: the cheapest first, 1 marked."""

from study.answers.results import Result
from study.figures import ranked
from study.figures.style import Look
from study.figures.vega import Chart, spec_of
from study.plan.tasks import label

CAPTION = (
    "Point: the expected cost up to the first hit over the baseline's. Bar: its 95 % interval; an arrow where nothing "
    "bounds it, a hollow point where the share is only a bound. Left of 1 it saves tuning."
)


def chart(results: list[Result], baseline: str, look: dict[str, Look], sentence: str) -> Chart | None:
    """One task's shares; None where no scheme has one.

    Args:
        results: of the task.
        baseline: the scheme whose share is 1.
        look: of every scheme.
        sentence: what the chart shows, in words.
    """
    known = [one for one in results if (one.share_to_target.estimate or 0) > 0]
    if not known or all(one.scheme == baseline for one in known):
        return None
    known.sort(key=lambda one: (one.share_to_target.bound != "=", one.share_to_target.estimate))
    shares = {one.scheme: one.share_to_target for one in known}
    data = ranked.table(shares, "share").assign(verdict=[share.verdict for share in shares.values()])
    title = f"share of {baseline}'s {known[0].share_to_target.unit}"
    spec = spec_of(ranked.drawn(data, "share", title, 1.0, look), sentence)
    name = f"Tuning cost on {label(known[0].task)}"
    return Chart("share", name, CAPTION, sentence, spec | {"width": "container"}, spec | ranked.still(520), data)
