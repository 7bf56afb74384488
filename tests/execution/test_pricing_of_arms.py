"""Prices of a study's arms: each measured once, whoever dies, and stored beside the study."""

import pytest

from study import tracking
from study.dispatch.dispatcher import Dispatcher
from study.execution.pricing import NOT_NOW, Pricing
from study.plan.parse import parse
from study.records.material import of_study
from study.tracking import Tracker
from trainables.price import Price, written
from trainables.trial import Record

TEXT = """
question: q
common: {task: quadratic, trials: 3, epochs: 1}
arms:
  one: {}
  sizes: {batch_size: {choice: [8, 16]}}
"""
TOLD = written([Price("cpu", "cpu, 1 thread", 1.25, 1.0, 20)])
DRAWN = ["seed", "scheme.lr", "batch_size"]  # by the study's name
RECORD = Record(
    **dict.fromkeys(("epoch", "passes", "flops", "seconds"), 2.0),
    **dict.fromkeys(("train_loss", "train_score", "valid_loss", "valid_score", "lr"), 0.1),
    steps=2,
    diverged=False,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prices")
    return f"sqlite:///{folder}/mlflow.db"


def opened(store, name):
    """The study as a driver has it, and its assignments by arm."""
    study = parse(TEXT, name)
    tracker = Tracker(study, store)
    tracker.searches.open(study.searches())
    dispatcher = Dispatcher(study, tracker.recorded())
    found = {"one": [], "sizes": []}
    while (next_one := dispatcher.next()) is not None:
        found[next_one.search.arm.name].append(next_one)
    return tracker, found


def test_a_price_is_asked_of_one_worker_at_a_time_until_it_is_there(store):
    tracker, arms = opened(store, "once")
    pricing = Pricing(tracker)
    first, second, third = arms["one"]
    assert [pricing.asked("a", first), pricing.asked("b", second)] == ["[]", NOT_NOW]
    pricing.left("a")  # it has failed for good
    assert [pricing.asked("c", third), pricing.asked("d", first)] == ["[]", NOT_NOW]
    pricing.told("c", third, TOLD)
    assert pricing.asked("e", first) == '["cpu"]'  # who has another kind of device measures
    tracker.close(complete=False)
    again, arms = opened(store, "once")
    assert Pricing(again).asked("f", arms["one"][0]) == '["cpu"]'
    again.close(complete=False)


def test_trials_of_other_sizes_have_prices_of_their_own_and_rates_have_none(store):
    tracker, arms = opened(store, "sizes")
    pricing = Pricing(tracker)
    sizes = [each.trial.batch_size for each in arms["sizes"]]
    asked = [pricing.asked(str(number), each) for number, each in enumerate(arms["sizes"])]
    assert len(set(sizes)) == 2
    assert [told == "[]" for told in asked] == [size not in sizes[:place] for place, size in enumerate(sizes)]
    tracker.close(complete=False)


def test_a_price_stands_beside_the_study_and_not_in_its_table(store):
    tables = []
    for name, told in (("with", TOLD), ("without", "")):
        tracker, arms = opened(store, name)
        pricing = Pricing(tracker)
        for each in [*arms["one"], *arms["sizes"]]:
            tracker.start(each.search, each.key, each.trial)
            tracker.log(each.key, 1, RECORD)
            tracker.finish(each.key, "finished", 0.1)
            if pricing.asked("t", each) == "[]":
                pricing.told("t", each, told)
            pricing.left("t")
        tracker.close(complete=True)
        tables.append(tracking.read(name, store).drop(columns=["study", "run_id", *DRAWN]))
    assert tables[0].equals(tables[1])
    found = of_study("with", store).prices
    assert {arm: [price.gradients for price in prices] for arm, prices in found.items()} == {
        "one": [1.25],
        "sizes": [1.25, 1.25],
    }
    assert sorted(price.of["batch_size"] for price in found["sizes"]) == [8, 16]
    assert of_study("without", store).prices == {}
