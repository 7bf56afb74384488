"""The searches of a study in the store: a run each, the parent of its trials' runs, made once and taken up again."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from study.plan.key import Key
from study.plan.study import Search, Study
from study.tracking import view
from study.tracking.artifacts import kept_name
from study.tracking.store import PREFIX, folder_of_search, own_tags, shown
from trainables.refusal import Refusal


class OtherContents(Refusal):
    """Another study of the same name is recorded."""

    succeeded: bool = True  # whether a trial of it has ended without failing


class Searches:
    """The runs of one study's searches; `runs` has their ids, by arm and repetition."""

    def __init__(
        self, study: Study, uri: str, store: MlflowClient, experiment: str, provenance: Mapping[str, str]
    ) -> None:
        self._study, self._uri, self._client, self._experiment = study, uri, store, experiment
        self._provenance, self._hash = provenance, study.hash
        self.runs: dict[tuple[str, int], str] = {}

    def adopt(self, recorded: Iterable[Run], trials: Iterable[Key], *, succeeded: bool) -> None:
        """Take up the searches that the store has; they run again.

        Args:
            recorded: their runs.
            trials: that the store has.
            succeeded: whether a trial of theirs has ended without failing, for whoever must decide what to do about
                another study of the same name.

        Raises:
            OtherContents: where one is of another study of that name; then none is touched.
            Refusal: where one of the trials has lost its search; likewise.
        """
        contents = {arm.name: json.dumps(arm.contents(), sort_keys=True) for arm in self._study.arms}
        found = [(own_tags(run), run.info.run_id) for run in recorded]
        for tags, _ in found:
            difference = _difference(tags["arm"], tags["contents"], contents.get(tags["arm"]))
            if difference:
                refusal = OtherContents(
                    f"another study {self._study.name!r} with other contents is recorded in {shown(self._uri)}: "
                    f"{difference}. Copy the study file under a new name, or forget the recorded one "
                    f"(`lr-study forget {self._study.name}`, or run with --fresh)"
                )
                refusal.succeeded = succeeded
                raise refusal
        here = {(tags["arm"], int(tags["repetition"])) for tags, _ in found}
        for key in trials:
            if (key.arm, key.repetition) not in here:
                raise Refusal(
                    f"search {key.arm}-{key.repetition} of study {self._study.name!r} has been deleted in MLflow, and "
                    f"trials of it have not: restore its run there, or `lr-study forget {self._study.name}`"
                )
        planned = {search.arm.name: self.tags("search", search)["planned"] for search in self._study.searches()}
        for tags, run in found:
            self.runs[tags["arm"], int(tags["repetition"])] = run
            self._client.update_run(run, status="RUNNING")
            if tags.get("planned") != planned[tags["arm"]]:  # it was given another budget
                self._client.set_tag(run, f"{PREFIX}planned", planned[tags["arm"]])

    def open(self, searches: Iterable[Search]) -> None:
        """Give every search its run, running, with the study file and the files that it names beside it."""
        for search in searches:
            self._client.update_run(self.run(search), status="RUNNING")
        self.keep_files()

    def keep_files(self) -> None:
        """Write study file, the files that it names and the view of MLflow's pages as they are today: files may have
        changed.
        """
        contents = {arm.name: arm.contents() for arm in self._study.arms}
        for tag, text in (view.KIND, (view.TAG, view.saved(contents, self._study.arms[0].task.mode))):
            self._client.set_experiment_tag(self._experiment, tag, text)
        for search in self._study.searches():
            run = self.run(search)
            self._client.log_text(run, self._study.text, "study.yaml")
            for file in search.arm.files():
                self._client.log_text(run, file.text, kept_name(file.place))

    def run(self, search: Search) -> str:
        """The id of a search's run, made if it is not there."""
        name = search.arm.name, search.repetition
        if name not in self.runs:
            contents = json.dumps(search.arm.contents(), sort_keys=True)
            own = {**self.tags("search", search), "contents": contents}
            tags = {f"{PREFIX}{tag}": value for tag, value in own.items()}
            tags[MLFLOW_RUN_NAME] = f"{search.arm.name}-{search.repetition}"
            self.runs[name] = self._client.create_run(self._experiment, tags=tags).info.run_id
        return self.runs[name]

    def tags(self, kind: str, search: Search) -> dict[str, str]:
        """The tags with which every run says of what search it is.

        Args:
            kind: search or trial.
            search: the one.
        """
        settings = search.arm.settings
        planned = {"planned": str(settings.trials * settings.seeds)} if kind == "search" else {}
        own = {"kind": kind, "arm": search.arm.name, "repetition": str(search.repetition), "study": self._study.name}
        return {**own, **planned, "study_hash": self._hash, **self._provenance}

    def folder(self, key: Key) -> Path:
        """The place of a trial's checkpoint inside a storage folder; that of another store's study is another.

        Args:
            key: of a trial whose search has been opened.
        """
        own = folder_of_search(key.study, key.arm, key.repetition, self.runs[key.arm, key.repetition])
        return own / str(key.k) / str(key.seed_number)

    @property
    def own_name(self) -> str:
        """The study's name, with what tells it from another store's study of that name."""
        return f"{self._study.name}-{self.run(next(self._study.searches()))[:12]}"

    def mark(self, search: Search) -> str:
        """The mark that tells a search from every other of its name: one run of one store, and what code runs it."""
        return ", ".join([self.run(search), *(self._provenance.get(name, "") for name in ("versions", "commit"))])


def _difference(arm: str, before: str, now: str | None) -> str:
    """The difference of an arm's contents from those recorded, in words; empty where there is none."""
    if before == now:
        return ""
    if now is None:
        return f"it also has an arm {arm!r}"
    was, new = json.loads(before), json.loads(now)
    changed = sorted(key for key in was.keys() | new.keys() if was.get(key) != new.get(key))
    told = [f"{key} was {was.get(key, 'not set')}, is now {new.get(key, 'not set')}" for key in changed]
    return f"in arm {arm!r}, {'; '.join(told)}"
