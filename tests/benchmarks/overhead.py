"""What each adaptive scheme adds to a training step, beside the most that it may: one CPU thread, float32.

    LR_STUDY_DATA=… uv run python tests/benchmarks/overhead.py [task …]

Without arguments: `mnist_mlp`, and `fashion_2c2d` where there is such a task. Steps are interleaved with plain SGD's,
and medians of the ratios are printed; keep the machine quiet. On a GPU: `lr-study overhead --device cuda`.
"""

import sys

from trainables.components import members
from trainables.run.overhead import overhead
from trainables.tasks import Task

# Row: keys of the trial, and the most that the step may cost on the MLP and on a convolution.
ROWS = {
    "hypergradient": ({"scheme": "hypergradient"}, 1.2, 1.08),
    "multilevel global+layer": ({"scheme": "multilevel"}, 1.2, 1.08),
    "multilevel global+parameter, compiled": (
        {"scheme": "multilevel", "scheme.levels": "global+parameter", "compile": True},
        1.5,
        1.15,
    ),
    "multilevel all levels, compiled": (
        {"scheme": "multilevel", "scheme.levels": "global+layer+unit+parameter", "compile": True},
        1.5,
        1.15,
    ),
    "cprop, eager": ({"scheme": "cprop"}, 2.4, 1.4),
    "cprop, compiled": ({"scheme": "cprop", "compile": True}, 1.6, 1.2),
}


def main():
    names = sys.argv[1:] or [name for name in ("mnist_mlp", "fashion_2c2d") if name in members(Task)]
    for name in names:
        print(f"{name}\n{'':40} ms a step    time  at most  memory")
        found = overhead({"task": name}, {row: keys for row, (keys, _, _) in ROWS.items()}, steps=60)
        for row in found:
            _, dense, convolution = ROWS.get(row.name, ({}, 1.0, 1.0))
            most = dense if name.endswith("mlp") else convolution
            numbers = f"{1e3 * row.seconds:9.2f}  {row.time:6.2f}  {most:7.2f}  {row.memory:6.2f}"
            print(f"{row.name:40} {row.refused or numbers}", flush=True)


if __name__ == "__main__":
    main()
