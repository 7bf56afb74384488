"""Charts drawn by several processes are those drawn by one."""

import pandas as pd

from study.figures import stills, vega
from study.figures.vega import Chart, spec_of


def dots(title):
    """A chart with that text in it."""
    spec = spec_of({"mark": "point", "title": title, "encoding": {"x": {"field": "x", "type": "quantitative"}}}, title)
    return Chart("dots", title, "", title, spec, spec, pd.DataFrame({"x": [1.0, 2.0]}))


def test_many_charts_come_in_their_order_from_processes_of_their_own(monkeypatch, tmp_path):
    charts = [dots(f"η‖w‖ {place}") for place in range(5)]
    once = [vega.still(chart) for chart in charts]
    monkeypatch.setattr(stills, "FEW", 2)
    monkeypatch.setattr(stills.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(stills.vega, "still", None)  # none is drawn here
    (tmp_path / "vl_convert.py").write_text("raise SystemExit('of the folder where somebody stands')")
    monkeypatch.chdir(tmp_path)
    assert stills.stills(charts) == once
    assert all(f">η‖w‖ {place}<" in text for place, text in enumerate(once))
