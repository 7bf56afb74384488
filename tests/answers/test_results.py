"""The README says of the studies that were run what their tables say, to the last digit and pixel."""

import pytest
import results


@pytest.mark.parametrize("name", [*results.SECTIONS, *results.TABLES])
def test_the_readme_and_its_figures_are_what_the_table_gives(name):
    readme = results.README.read_text(encoding="utf-8")
    text, figures = results.section(name)
    assert results.replaced(readme, name, text) == readme
    for path, figure in figures.items():
        assert path.read_text(encoding="utf-8") == figure


def test_the_first_answer_is_what_the_rivals_tables_give():
    readme = results.FIRST.read_text(encoding="utf-8")
    assert results.replaced(readme, "rivals", results.first()) == readme
