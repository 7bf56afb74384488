"""Still charts, many at once: vl-convert holds the interpreter while it draws, so that other processes do it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from study.figures import vega
from study.figures.vega import Chart

FEW = 12  # charts: as many are drawn here while another process begins
PROGRAM = """
import json, sys, vl_convert
json.dump([vl_convert.vegalite_to_svg(chart) for chart in json.load(sys.stdin)], sys.stdout)
"""


def stills(charts: list[Chart]) -> list[str]:
    """The charts as the texts of SVG files, in order, as `vega.still` gives each.

    charts: many are drawn by as many processes as there are cores.
    """
    count = min(os.cpu_count() or 1, len(charts) // FEW)
    if count < 2:
        return [vega.still(chart) for chart in charts]
    texts = [vega.on_white(chart) for chart in charts]
    with ThreadPoolExecutor(count) as threads:
        made = list(threads.map(_by_a_process, (texts[place::count] for place in range(count))))
    return [made[place % count][place // count] for place in range(len(charts))]


def _by_a_process(texts: list[str]) -> list[str]:
    command = [sys.executable, "-P", "-c", PROGRAM]  # -P: nothing is imported from the folder that somebody stands in
    drawn = subprocess.run(command, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(drawn.stdout)
