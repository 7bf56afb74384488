"""Every row of the table of prices, one command after the other; on a quiet machine in under twelve minutes.

    LR_STUDY_DATA=… OMP_NUM_THREADS=1 uv run python tests/benchmarks/price.py [row …]

Rows: `steps`, `curvature`, `networks`, `schemes`, `epoch`. Each prints its command and how long it took.
"""

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROWS = {
    "steps": ["optimizers.py", "20"],
    "curvature": ["curvature.py", "7", "cpu", "auto", "transformer block", "depthwise", "gru"],
    "networks": ["curvature.py", "5", "cpu", "auto", "mnist_mlp", "mnist_lenet5", "cifar10_3c3d"],
    "schemes": ["overhead.py", "mnist_mlp"],
    "epoch": ["epoch.py", "7", "transformer"],
}


def main(wanted):
    for row in wanted:
        command, started = [sys.executable, str(HERE / ROWS[row][0]), *ROWS[row][1:]], time.monotonic()
        print(f"\n== {row}: python tests/benchmarks/{' '.join(ROWS[row])}", flush=True)
        subprocess.run(command, check=True)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ROWS)
