"""The statistics of tuning cost: arrays in, arrays and numbers out; numpy, and scipy's beta quantiles.

Scores are higher-is-better here; whoever minimizes negates first. What the trials in hand do not define comes
back as `NotDefined`, in words, never as a number.
"""

from study.cost.best_of import TRIALS_A_CHOICE, BestDraws, why_no_best_interval
from study.cost.break_even import BreakEven, Curve, break_even, curve, flat, widths
from study.cost.expected import (
    best_weights,
    expected_best,
    expected_best_biased,
    expected_cost,
    expected_trials,
    probability_of_hit,
    smallest_budget,
)
from study.cost.intervals import (
    LEVEL,
    cost_draws,
    cost_shares,
    ends,
    hit_probability_interval,
    mean_draws,
    mean_interval,
    student_interval,
    trials_interval,
)
from study.cost.knowledge import (
    FEWEST_HITS,
    TRIALS_A_WINDOW,
    Searched,
    known_cost,
    known_cost_draws,
    known_cost_interval,
)
from study.cost.observed import Searches, best_so_far, observe, observed_cost
from study.cost.over_tasks import Outcomes, joint_cost_draws, share_over_tasks, share_over_tasks_interval
from study.cost.profile import (
    cost_ratios,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    profile_scores,
    stratified_bootstrap,
)
from study.cost.quantities import Cost, Draws, Interval, NotDefined
from study.cost.sensitivity import (
    best_on_edge,
    default_regret,
    grid_step,
    sensitivity,
    violates_inclusion,
    width_decades,
)
from study.cost.shares import (
    Sample,
    Share,
    log_efficiency,
    share_at_budget,
    share_at_budget_draws,
    share_to_target,
    share_to_target_interval,
    times_as_many,
)
from study.cost.transfer import transfer_draws, transfer_regret
from study.cost.typical import improvement_draws, interquartile_draws

__all__ = [
    "FEWEST_HITS",
    "LEVEL",
    "TRIALS_A_CHOICE",
    "TRIALS_A_WINDOW",
    "BestDraws",
    "BreakEven",
    "Cost",
    "Curve",
    "Draws",
    "Interval",
    "NotDefined",
    "Outcomes",
    "Sample",
    "Searched",
    "Searches",
    "Share",
    "best_on_edge",
    "best_so_far",
    "best_weights",
    "break_even",
    "cost_draws",
    "cost_ratios",
    "cost_shares",
    "curve",
    "default_regret",
    "ends",
    "expected_best",
    "expected_best_biased",
    "expected_cost",
    "expected_trials",
    "flat",
    "grid_step",
    "hit_probability_interval",
    "improvement_draws",
    "interquartile_draws",
    "interquartile_mean",
    "joint_cost_draws",
    "known_cost",
    "known_cost_draws",
    "known_cost_interval",
    "log_efficiency",
    "mean_draws",
    "mean_interval",
    "observe",
    "observed_cost",
    "performance_profile",
    "probability_of_hit",
    "probability_of_improvement",
    "profile_scores",
    "sensitivity",
    "share_at_budget",
    "share_at_budget_draws",
    "share_over_tasks",
    "share_over_tasks_interval",
    "share_to_target",
    "share_to_target_interval",
    "smallest_budget",
    "stratified_bootstrap",
    "student_interval",
    "times_as_many",
    "transfer_draws",
    "transfer_regret",
    "trials_interval",
    "violates_inclusion",
    "why_no_best_interval",
    "width_decades",
    "widths",
]
