"""The distribution: what pip users and people in a checkout install is the same."""

import tomllib

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_extras_are_the_groups_of_the_same_names():
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    assert set(extras) == {"packaged", "metrics", "cluster", "server"}
    assert extras == {name: groups[name] for name in extras}
