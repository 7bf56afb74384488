"""The shipped table of replayed rivals is what a replay of their record gives."""

import pandas as pd
import replays

from study import replay


def test_two_schemes_are_replayed_again():
    record, study = replay.read_record(str(replays.RECORD), None, "")
    two = record[record["arm"].isin(["momentum-cosine-mnist_logreg", "prodigy-mnist_logreg"])]
    again = replays.replayed(two, study, "mnist_logreg", "TPE and median")
    told = pd.read_csv(replays.REPLAYED)
    same = ["task", "setting", "scheme"]
    expected = told.merge(again[same], on=same)
    assert len(expected) == 2
    pd.testing.assert_frame_equal(again.astype(expected.dtypes[again.columns]), expected[again.columns])
