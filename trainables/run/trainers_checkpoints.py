"""Checkpoints that a trainer of other people's writes by itself: those that are whole, and the newest of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Written(NamedTuple):
    """A checkpoint as it was last seen; of several the greatest is the newest: what is written over may be a log."""

    once: bool  # and not written over since
    records: int  # that the training had
    time: int | None  # in nanoseconds


class TrainersCheckpoints:
    """The checkpoints in a trainer's folder.

    Attributes:
        written: by name, as they were last seen.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing has been seen yet.

        Args:
            folder: of the trainer; it need not exist.
        """
        self.folder = folder
        self.written: dict[str, Written] = {}
        self._left = {name: self._time(name) for name in self._names()}  # by whoever was killed: of what, nobody knows

    def look(self, num_records: int) -> None:
        """Note the checkpoints: those written since the last look are of so many records, and whole.

        One that has been written over is of now; what was written over after the last note is nobody's.

        Args:
            num_records: that the training had before the epoch which has just ended.
        """
        for name in self._names():
            known, time = self.written.get(name), self._time(name)
            if time != (self._left.get(name) if known is None else known.time):
                self.written[name] = Written(known is None, num_records, time)

    def newest(self, state: Mapping[str, Sequence[Any]]) -> tuple[str | None, int]:
        """Go on from the newest checkpoint of a state that is still as it was then; later ones are forgotten.

        Args:
            state: as `state_dict` gave it.

        Returns:
            Its path and the records that the training had; None and 0 where there is none with a record: before the
            first, logs and checkpoints look alike.
        """
        seen = {name: Written(*known) for name, known in state.items()}
        there = {name: known for name, known in seen.items() if self._time(name) == known.time and known.records}
        newest = max(there, key=lambda name: there[name], default=None)
        num_records = there[newest].records if newest else 0
        self.written = {name: known for name, known in there.items() if known.records <= num_records}
        return (str(self.folder / newest) if newest else None), num_records

    def state_dict(self) -> dict[str, list[Any]]:
        """Every checkpoint that was seen, by name, as lists of numbers."""
        return {name: list(known) for name, known in self.written.items()}

    def _names(self) -> list[str]:
        return [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []

    def _time(self, name: str) -> int | None:
        """The time at which the last of a checkpoint was written, in nanoseconds; None where it is not there."""
        place = self.folder / name
        return max(one.lstat().st_mtime_ns for one in (place, *place.rglob("*"))) if place.exists() else None
