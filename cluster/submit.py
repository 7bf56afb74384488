"""What `ray submit` copies to the head and runs there: `lr-study` with the same arguments, on this cluster.

ray submit cluster/local.yaml cluster/submit.py -- run fashion --storage /mnt/lr-study
"""

import os
import sys
from pathlib import Path

PROJECT = Path.home() / "lr-study"  # where the file mounts put it


def command(arguments: list[str]) -> list[str]:
    """The command line; a study runs on the cluster unless an address is given.

    >>> command(["run", "fashion"])
    ['lr-study', 'run', 'fashion', '--address', 'auto']
    >>> command(["target", "fashion_mlp"])
    ['lr-study', 'target', 'fashion_mlp', '--address', 'auto']
    >>> command(["status", "fashion"])
    ['lr-study', 'status', 'fashion']
    """
    running = arguments[:1] in (["run"], ["target"]) and not any(word.startswith("--address") for word in arguments)
    return ["lr-study", *arguments, *(["--address", "auto"] if running else [])]


if __name__ == "__main__":
    os.chdir(PROJECT)  # a path to one's own study is the same here as beside pyproject.toml
    words = command(sys.argv[1:])
    os.execv(PROJECT / ".venv" / "bin" / words[0], words)  # noqa: S606 — replaces this process, so that Ctrl-C and the exit code are lr-study's
