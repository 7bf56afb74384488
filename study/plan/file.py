"""Study files as they are written: YAML in, its shape checked, or one clear line."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from study.plan.plain_yaml import read_plain
from study.plan.tasks import TASKS, expand_tasks
from study.search.samplers import GIVEN_FIRST, SAMPLERS
from study.search.stoppers import NO_STOPPER, STOPPERS
from trainables.refusal import Refusal, unknown
from trainables.space import DOMAIN_NAMES

Scalar: TypeAlias = bool | int | float | str | None
Written: TypeAlias = Scalar | list[Scalar] | dict[str, list[Scalar] | dict[str, list[Scalar]]]
MAX_BYTES = 1_000_000


class Published(BaseModel):
    """Published numbers of a study's arms, each of the last record of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, description="who published the numbers, and where")]
    within: Annotated[float, Field(gt=0, description="how far a trial may be from them")]
    finals: Annotated[dict[str, dict[str, float]], Field(min_length=1, description="arm: {train_loss: …, …}")]

    def check(self, arms: Iterable[str]) -> None:
        """Refuses arms that the study does not have, and numbers that no record has."""
        from trainables.trial import Record  # with torch, which a study file without such numbers need not wait for

        known, all_numbers = list(arms), [entry.name for entry in fields(Record) if entry.name != "extras"]
        all_numbers += ["test_loss", "test_score"]
        for arm, numbers in self.finals.items():
            if arm not in known:
                raise unknown("arm in published.finals:", arm, known)
            for number in numbers:
                if number not in all_numbers:
                    raise unknown(f"number in published.finals.{arm}:", number, all_numbers)


class Heat(BaseModel):
    """Steps until a loss over two hyper-parameters, as Baydin et al. 2018 (arXiv 1703.04782) draw them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: Annotated[str, Field(description="a hyper-parameter, by its dotted key")]
    columns: Annotated[str, Field(description="another; arms without it share one column")]
    loss: Annotated[Literal["train_loss", "valid_loss", "test_loss"], Field(description="of the records")] = (
        "train_loss"
    )
    until: Annotated[float, Field(description="the loss that ends the count")]


class Settings(BaseModel):
    """The search of an arm, and beside it any key of a trial: a value, or a domain to search."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Written]  # type: ignore[assignment]  — pydantic's own way to type extra keys

    trials: Annotated[int, Field(ge=1, le=1_000_000, description="budget of one search, in configurations")] = 8
    repetitions: Annotated[int, Field(ge=1, le=100_000, description="independent searches of the arm")] = 1
    seeds: Annotated[int, Field(ge=1, le=1_000, description="trainings of each configuration")] = 1
    searcher: Annotated[str, Field(description=f"one of {', '.join(SAMPLERS)}")] = "random"
    stopper: Annotated[str | None, Field(description=f"{NO_STOPPER}, or one of {', '.join(STOPPERS)}")] = None
    parallel: Annotated[int, Field(ge=1, description="what learns or stops sees results 0…k−parallel")] = 1
    same_points: Annotated[bool, Field(description="the k-th configuration is the same on every one of the tasks")] = (
        False
    )
    start: Annotated[
        tuple[dict[str, Scalar], ...], Field(description="configurations that are tried first: {scheme.lr: 0.1}, …")
    ] = ()
    control_of: Annotated[str | None, Field(description="the arm whose measured mean scale this one replays")] = None

    @property
    def searched_by(self) -> str:
        """The searcher, as a record names it: configurations that were given are draws of none."""
        return f"{self.searcher}{GIVEN_FIRST}" if self.start else self.searcher

    @field_validator("trials", "repetitions", "seeds", "parallel", mode="before")
    @classmethod
    def _a_number(cls, given: object) -> object:
        """No `yes`, which YAML would take for 1."""
        if isinstance(given, bool):
            raise ValueError(f"a whole number, not {str(given).lower()}")
        return given

    @field_validator("stopper", mode="before")
    @classmethod
    def _none_is_none(cls, stopper: object) -> object:
        """The word that the schema uses, too."""
        return None if stopper == NO_STOPPER else stopper


class StudyFile(BaseModel):
    """A study file: one question, and the arms that answer it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: Annotated[str, Field(min_length=1)]
    command: str = ""
    duration: str = ""
    result: str = ""
    baseline: Annotated[
        str, Field(description="the arm whose cost the others' are shares of; the first one where none is named")
    ] = ""
    published: Annotated[Published | None, Field(description="other people's numbers, shown beside ours")] = None
    heat: Annotated[Heat | None, Field(description="a heat map of steps until a loss")] = None
    common: dict[str, Any] = Field(default_factory=dict[str, Any], description="what all arms share")
    tasks: dict[str, dict[str, Any]] = Field(
        default_factory=dict[str, dict[str, Any]], description="runs every arm on each, as ARM-TASK, with these entries"
    )
    arms: dict[str, dict[str, Any]] = Field(min_length=1)

    @field_validator("common", "tasks", "arms", mode="before")
    @classmethod
    def _nothing_is_empty(cls, given: object) -> object:
        """Nothing behind a colon means no entries."""
        if not isinstance(given, dict):
            return {} if given is None else given
        entries = cast("dict[Any, Any]", given)
        empty = dict[str, Any]()
        return {key: empty if own is None else own for key, own in entries.items()}

    def written_out(self) -> dict[str, dict[str, Any]]:
        """The arms as they run: on every task, where the file names several."""
        if self.tasks:
            return expand_tasks(self.arms, self.tasks, self.common.get("stopper"))
        for name in (name for name, own in self.arms.items() if TASKS in own):
            raise Refusal(f"arm {name!r} names tasks, and the study has none: give it task: NAME")
        return self.arms


def schema() -> dict[str, Any]:
    """The JSON Schema of a study file: settings, beside which any key of a trial may stand, a value or a domain."""
    written_schema = StudyFile.model_json_schema()
    arm = Settings.model_json_schema()
    arm["description"] = "settings of the search, and any key of a trial: a value, or a domain to search"
    written_schema["properties"]["common"] |= {"anyOf": [arm]}
    for part in ("arms", "tasks"):
        written_schema["properties"][part]["additionalProperties"] = arm
    some = {"type": "array", "items": {"type": "string"}, "description": "tasks of the study that the arm runs on"}
    written_schema["properties"]["arms"]["additionalProperties"] = {
        **arm, "properties": {**arm["properties"], TASKS: some}
    }  # fmt: skip
    return written_schema


def read_file(text: str, name: str) -> StudyFile:
    """The study file as it is written; what its arms hold is not looked at.

    Args:
        text: the YAML.
        name: the study's, for messages.

    Raises:
        Refusal: in one line, where it is no study file.
    """
    try:
        file = StudyFile.model_validate(_mapping(text, name))
    except ValidationError as error:
        raise complaint(f"study {name!r}", error, StudyFile) from error
    if file.tasks and "task" in file.common:
        raise Refusal(f"study {name!r}: task is common and tasks are named; leave one of them out")
    arms = {**file.arms, **file.written_out()}
    if file.baseline and file.baseline not in arms:
        raise Refusal(f"study {name!r}: {unknown('baseline', file.baseline, arms)}")
    if file.published:
        file.published.check(file.written_out())
    return file


def text_of(path: Path) -> str:
    """The text of a study file that somebody named."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refusal(f"study file {path} has {path.stat().st_size:,} bytes, at most {MAX_BYTES:,} are read")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(f"study file {path} is not text (byte {error.start} is not UTF-8)") from error
    except OSError as error:
        raise Refusal(f"study file {path} cannot be read: {error.strerror}") from error


def _mapping(text: str, name: str) -> dict[str, Any]:
    try:
        read = read_plain(text)
    except Refusal as refusal:
        raise Refusal(f"study {name!r}: {refusal}") from refusal
    if not isinstance(read, dict):
        what = "is empty" if read is None else f"holds a {type(read).__name__}"
        raise Refusal(f"study {name!r} {what}; it needs the keys question and arms")
    return cast("dict[str, Any]", read)


def complaint(where: str, error: ValidationError, model: type[BaseModel]) -> Refusal:
    """The first complaint of pydantic, in our form.

    Args:
        where: in the study file, for the head of the line.
        error: pydantic's.
        model: what was validated; its fields are suggested for a misspelt key.
    """
    first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")  # a misspelt key explains more
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return Refusal(f"{where}: {unknown('key', key, model.model_fields)}")
    if first["type"] == "missing":
        return Refusal(f"{where}: {key} is missing")
    return Refusal(f"{where}: {key} {first['msg'].lower()}, got {first['input']!r}")


def nested(key: str, given: Mapping[str, Any]) -> Refusal:
    """The refusal of a mapping where a name stands, as other programs nest what belongs to it.

    Args:
        key: the key that takes a name, such as `scheme`.
        given: what was written there, such as `{"lr": 0.1}`.

    Returns:
        The refusal, with the first of its entries as it is written here.

    >>> nested("scheme", {"lr": 0.1})
    Refusal('scheme takes a name; what belongs to it has a key of its own: write scheme.lr: 0.1')
    >>> nested("stopper", {"asha": {"reduction": 3}})
    Refusal('stopper takes a name; what belongs to it has a key of its own: write stopper: asha, stopper.reduction: 3')
    >>> nested("scheme", {"name": "cprop"})
    Refusal('scheme takes a name; what belongs to it has a key of its own: write scheme: cprop')
    """
    name, value = next(iter(given.items()), ("lr", "…"))
    text = str(value)
    below: dict[str, Any] = cast("Any", value) if isinstance(value, dict) else {}
    if below and not below.keys() & set(DOMAIN_NAMES):  # {asha: {reduction: 3}}
        inner, number = next(iter(below.items()))
        return Refusal(
            f"{key} takes a name; what belongs to it has a key of its own: write {key}: {name}, {key}.{inner}: {number}"
        )
    if name == "name":
        return Refusal(f"{key} takes a name; what belongs to it has a key of its own: write {key}: {text}")
    shown = text if len(text) < 60 else "…"
    return Refusal(f"{key} takes a name; what belongs to it has a key of its own: write {key}.{name}: {shown}")
