"""Records of grids over learning rate and weight decay that no network made: norms and angles as theory has them."""

import math

import numpy as np
import pandas as pd

RATES = [2.0**n for n in range(-4, 2)]
DECAYS = [2.0**n for n in range(-9, -3)]
SIGMA, RECORDS, STEPS, CONSTANT = 3.0, 20, 100, 16


def score_of(rate, decay):
    """Best at ηλ = 2⁻⁷, whatever η."""
    return 0.9 - 0.01 * (math.log2(rate * decay) + 7) ** 2


def trial(arm, k, seed, rate, decay, score, start=5.0, tensors=("w",), momentum=0.0):
    """‖w‖⁴ goes from where it starts to η σ²/(2λ) at 4ηλ/(1−μ) a step; the angle is √(2ηλ) where it has arrived."""
    product = rate * decay
    steps = STEPS * np.arange(1, RECORDS + 1)
    end = rate * SIGMA**2 / (2 * decay)
    fourth = end + (start**4 - end) * np.exp(-4 * product / (1 - momentum) * steps)
    rows = {
        "arm": arm,
        "task": "fashion_mlp_norm",
        "repetition": 0,
        "k": k,
        "seed_number": seed,
        "run_id": f"{arm}-{k}-{seed}",
        "status": "diverged" if math.isnan(score) else "finished",
        "searcher": "grid",
        "mode": "max",
        "metric": "accuracy",
        "chance": 0.1,
        "target": math.nan,
        "scheme": "fixed",
        "scheme.lr": rate,
        "decay.weight_decay": decay,
        "record": np.arange(1, RECORDS + 1),
        "epoch": np.arange(1, RECORDS + 1) / 10,
        "train_loss": 0.5,
        "train_score": 0.5,
        "valid_loss": 0.5,
        "valid_score": np.where(np.arange(RECORDS) < RECORDS - 1, score - 0.05, score),
        "lr": np.where(np.arange(RECORDS) < CONSTANT, rate, rate * (RECORDS - np.arange(RECORDS)) / 10),
        "passes": steps.astype(float),
        "flops": 1e6 * steps,
        "steps": steps,
        "seconds": 0.01 * steps,
        "diverged": math.isnan(score),
        "test_score": np.where(np.arange(RECORDS) < RECORDS - 1, math.nan, score - 0.01),
    }
    for tensor in tensors:
        rows |= {
            f"norm.{tensor}": fourth**0.25,
            f"effective_lr.{tensor}": rate / np.sqrt(fourth),
            f"angle.{tensor}": np.sqrt(2 * product * end / fourth),
            f"angle_predicted.{tensor}": math.sqrt(2 * product),
        }
    return pd.DataFrame(rows)


def gridded(
    arm="normalised", seeds=1, noise=0.0, law=score_of, tensors=("w",), momentum=0.0, rates=RATES, decays=DECAYS
):
    """A whole grid, the scores as the law has them, plus Gaussian noise."""
    draws, made = np.random.default_rng(0), []
    for k, (rate, decay) in enumerate((rate, decay) for rate in rates for decay in decays):
        for seed in range(seeds):
            score = law(rate, decay) + noise * draws.standard_normal()
            made.append(trial(arm, k, seed, rate, decay, score, tensors=tensors, momentum=momentum))
    rows = pd.concat(made, ignore_index=True)
    return rows.assign(**{"direction.momentum": momentum}) if momentum else rows
