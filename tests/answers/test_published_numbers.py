"""Published numbers beside ours: the table, the verdict, and what a study file may not claim."""

import pandas as pd
import pytest
from recorded import training

from study.answers import published as beside
from study.plan import file as reading
from study.plan import parse
from study.records.material import Material
from study.reports import summary as reporting
from study.reports.sections import published_sheets, sections
from trainables.refusal import Refusal

FILE = """{question: q, published: {source: somebody, within: 0.01, finals: {%s}},
           arms: {sgd: {task: quadratic}, adam: {task: quadratic, direction: adam}}}"""
FINALS = "sgd: {train_loss: 0.5, test_loss: 0.4}"


def record(*trials):
    """The record of trials of two epochs: (arm, status, last training loss, last test loss)."""
    rows = [
        {"run_id": f"r{place}", "arm": arm, "status": status, "epoch": epoch, "train_loss": loss, "test_loss": test}
        for place, (arm, status, *last) in enumerate(trials)
        for epoch, (loss, test) in ((1, (9.0, 9.0)), (2, last))
    ]
    return pd.DataFrame(rows)


def published(finals=FINALS):
    return reading.read_file(FILE % finals, "x").published


def test_differences_are_of_the_last_record_and_the_farthest_trial_is_named():
    ours = record(("sgd", "finished", 0.503, 0.391), ("sgd", "finished", 0.494, 0.401), ("adam", "finished", 7.0, 7.0))
    found = beside.beside(ours, published()).set_index("number")
    assert found.loc["train_loss", ["theirs", "ours", "difference", "farthest"]].tolist() == pytest.approx(
        [0.5, 0.4985, -0.0015, -0.006]
    )
    assert found.loc["test_loss", "farthest"] == pytest.approx(-0.009)
    assert found["trials"].tolist() == [2, 2]
    assert beside.verdict(found.reset_index(), published()) == (
        "2 of 2 numbers have all their trials within 0.01 of somebody; "
        "the farthest trial is sgd's test_loss, by -0.0090."
    )


def test_a_trial_that_diverged_is_not_near_and_one_that_runs_does_not_count():
    for lost in ("diverged", "failed"):
        ours = record(("sgd", lost, 0.5, 0.4), ("sgd", "running", 0.5, 3.0))
        found = beside.beside(ours, published())
        assert found["trials"].tolist() == [1, 1]
        assert found["farthest"].isna().all()
        assert beside.verdict(found, published()).startswith("0 of 2 numbers")


def test_one_trial_too_far_is_one_number_too_far():
    ours = record(("sgd", "finished", 0.5, 0.4), ("sgd", "finished", 0.52, 0.4))
    assert beside.verdict(beside.beside(ours, published()), published()).startswith("1 of 2 numbers")


@pytest.mark.parametrize("ours", [pd.DataFrame(), record(("adam", "finished", 1.0, 1.0))])
def test_without_a_trial_nothing_is_near(ours):
    assert beside.verdict(beside.beside(ours, published()), published()).startswith("0 of")


@pytest.mark.parametrize(
    ("finals", "message"),
    [
        ("sdg: {train_loss: 1}", "unknown arm in published.finals: 'sdg': did you mean 'sgd'?"),
        ("sgd: {tran_loss: 1}", "unknown number in published.finals.sgd: 'tran_loss': did you mean 'train_loss'?"),
        ("sgd: {train_loss: low}", "published.finals.sgd.train_loss input should be a valid number"),
    ],
)
def test_what_no_record_has_is_refused(finals, message):
    with pytest.raises(Refusal) as refusal:
        reading.read_file(FILE % finals, "x")
    assert message in str(refusal.value)


def test_an_entry_that_runs_on_tasks_is_no_arm():
    numbers = "published: {source: s, within: 1, finals: {%s: {lr: 1}}}"
    text = f"{{question: q, tasks: {{quadratic: {{}}}}, arms: {{sgd: {{}}}}, {numbers}}}"
    assert reading.read_file(text % "sgd-quadratic", "x").published
    with pytest.raises(Refusal, match=r"unknown arm in published.finals: 'sgd': Known: sgd-quadratic"):
        reading.read_file(text % "sgd", "x")


def test_the_report_shows_it_to_people_and_leaves_the_tables_of_programs_alone():
    file = reading.read_file(FILE % FINALS, "x")
    ours = training([1.0], arm="sgd", task="quadratic", mode="min", train_loss=0.503, test_loss=0.4)
    material = Material("x", ours, file=file)
    text = reporting.whole(material, "text")
    assert "Published beside ours" in text
    assert "+0.0030" in text
    assert "| sgd | train_loss | 0.5000 | 0.5030 | +0.0030 | +0.0030 | 1 |" in reporting.whole(material, "markdown")
    assert reporting.whole(material, "csv") == reporting.render(reporting.summary(ours), "csv")
    (sheet,) = published_sheets(material, "quadratic")
    assert [(row.scheme, row.cells[0].text) for row in sheet.rows] == [("sgd", "0.5030")]
    text = "{question: q, tasks: {quadratic: {}}, arms: {sgd: {}}, published: {source: s, within: 1, finals: {%s}}}"
    entry = reading.read_file(text % "sgd-quadratic: {train_loss: 0.5}", "x")
    (sheet,) = published_sheets(Material("x", ours.assign(arm="sgd-quadratic"), file=entry), "quadratic")
    assert [row.scheme for row in sheet.rows] == ["sgd"]  # as the page calls it everywhere
    assert published_sheets(material, "another") == []
    assert sections(ours, None) == []


def test_the_shipped_study_of_baydin_names_every_arm():
    file = parse.load("baydin").file
    assert set(file.published.finals) == set(file.arms)
    assert file.published.within == 0.01


def test_the_shipped_numbers_are_the_authors(shared):
    """The last epoch of every optimizer in their own logs."""
    theirs = pd.read_csv(shared / "anchors" / "baydin_logreg.csv").query("epoch == 10").set_index("optimizer")
    for arm, numbers in parse.load("baydin").file.published.finals.items():
        assert numbers == theirs.loc[arm, ["train_loss", "test_loss"]].to_dict()
