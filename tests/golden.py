"""Published numbers of DeepOBS that several tests compare with."""

DEEPOBS_TARGET = 0.9198093278634639
BUDGETS = 1, 2, 4, 8, 16, 32
GOLDEN = {
    "sgd": {
        "best": [0.6049, 0.7960, 0.8962, 0.9171, 0.9202, 0.9216],
        "biased": [0.6049, 0.7907, 0.8914, 0.9157, 0.9197, 0.9208],
        "hits": 2, "trials": 12.33, "cost": 1179, "full": 0.3169, "window": 0.2270, "width": 1.8,
    },
    "momentum": {
        "best": [0.4970, 0.7056, 0.8672, 0.9177, 0.9230, 0.9239],
        "biased": [0.4970, 0.6998, 0.8580, 0.9145, 0.9223, 0.9235],
        "hits": 5, "trials": 6.17, "cost": 583, "full": 0.4270, "window": 0.0303, "width": 1.2,
    },
    "adam": {
        "best": [0.5007, 0.7098, 0.8700, 0.9185, 0.9248, 0.9287],
        "biased": [0.5007, 0.7040, 0.8610, 0.9155, 0.9235, 0.9264],
        "hits": 6, "trials": 5.29, "cost": 463, "full": 0.4287, "window": 0.0139, "width": 0.6,
    },
}  # fmt: skip
