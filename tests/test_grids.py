"""Grids over learning rate and weight decay: what is refused."""

import pytest

import study
from study.checks import MAX_CELLS, check_size
from study.spec import load, parse
from trainables.refusal import Refusal

GRID = "{{question: q, common: {{task: quadratic, searcher: grid, trials: 4}}, arms: {{a: {{{}}}}}}}"
AXES = "scheme.lr: {{choice: {}}}, decay.weight_decay: {{choice: {}}}"


def grid(rates, decays):
    axes = AXES.format([0.01 * (n + 1) for n in range(rates)], [1e-5 * n for n in range(decays)])
    return parse(GRID.format(axes), "x")


def test_a_grid_of_more_than_10_000_cells_asks_whether_it_is_meant(tmp_path):
    check_size(grid(100, 100))
    with pytest.raises(Refusal, match=r"^arm 'a': the grid has 10,100 cells, more than 10,000: say --yes if that is"):
        study.run(grid(101, 100), tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", storage=tmp_path)
    assert not list(tmp_path.iterdir())
    assert MAX_CELLS == 100 * 100


def test_a_command_without_yes_is_refused_in_one_line(lr_study, tmp_path):
    axis = [0.01 * (n + 1) for n in range(101)]
    (tmp_path / "large.yaml").write_text(GRID.format(AXES.format(axis, axis)), encoding="utf-8")
    done = lr_study("run", "large.yaml")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: arm 'a': the grid has 10,201 cells, more than 10,000: say --yes if that is meant"
    )
    assert lr_study("run", "large.yaml", "--yes", "--trials", "10202").stderr.strip().endswith("trials asks for 10202")


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("scheme.beta: {choice: [1, 2, 3, 4]}", r"^arm 'a': unknown key 'scheme\.beta'"),
        ("direction.momentum: {choice: [0, 0.5, 0.9, 0.99]}", r"^arm 'a': unknown key 'direction\.momentum'"),
    ],
)
def test_a_grid_over_a_field_that_the_arm_does_not_have_is_refused(arm, words):
    with pytest.raises(Refusal, match=words):
        parse(GRID.format(arm), "x")


def test_the_shipped_grid_has_equal_products_on_its_anti_diagonals():
    space = load("wd-lr-grid").arms[0].space
    rates, decays = (space[key].options for key in ("scheme.lr", "decay.weight_decay"))
    products = {rates[i] * decays[j] for i in range(8) for j in range(8)}
    assert len(products) == 15
