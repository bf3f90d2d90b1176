"""Judgements by way of Label Studio: tasks to give to it, and what people said there.

Belongs here: its JSON of tasks both ways, and the files that go along. Does not: who is asked for what (review.py), and
keeping judgements (corpus/judgements.py).

The format is that of https://labelstud.io/guide/tasks and https://labelstud.io/guide/export (JSON): a task has ``data``
and ``annotations``, an annotation a ``result`` of choices by the name of their control in the labelling interface.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cry_pipeline.artefacts import make_folder, write_atomically
from cry_pipeline.corpus.filenames import REASONS
from cry_pipeline.corpus.judgements import Judgement, JudgementError, add_judgement, read_judgements
from cry_pipeline.donations.review import ASKED, Asked, judgeable, samples_of
from cry_pipeline.settings import Settings

VERDICT, REASON = "verdict", "reason"
"""Names of the two controls."""
TASKS, INTERFACE, AUDIO = "tasks.json", "interface.xml", "audio"
MAX_BYTES = 256 * 2**20


class LabelStudioError(ValueError):
    """A file is no export of Label Studio, or not of our tasks; the message says where and what was expected."""


class Imported(NamedTuple):
    """How many judgements are new, and were there already, and how many annotations say nothing."""

    new: int
    known: int
    silent: int


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Value(_Loose):
    choices: list[str] = []


class _Result(_Loose):
    from_name: str = ""
    value: _Value = _Value()


class _Who(_Loose):
    id: int | None = None
    email: str | None = None


class _Annotation(_Loose):
    result: list[_Result] = []
    completed_by: _Who | int | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime | None = None
    lead_time: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    was_cancelled: bool = False


class _Data(_Loose):
    recording_id: str


class _Task(_Loose):
    data: _Data
    annotations: list[_Annotation] = []


def interface() -> str:
    """Return the labelling interface: Label Studio is given it once, in a project's settings."""
    verdicts = "\n".join(f'    <Choice value="{name}"/>' for name in ASKED)
    reasons = "\n".join(f'    <Choice value="{name}"/>' for name in REASONS.values())
    return f"""<View>
  <Header value="Is a baby crying?"/>
  <Audio name="audio" value="$audio"/>
  <Choices name="{VERDICT}" toName="audio" choice="single" required="true">
{verdicts}
  </Choices>
  <Header value="Why, if you can tell" size="6"/>
  <Choices name="{REASON}" toName="audio" choice="single"
           visibleWhen="choice-selected" whenTagName="{VERDICT}" whenChoiceValue="cry">
{reasons}
  </Choices>
</View>
"""


def tasks_of(asked: Iterable[Asked], said: pd.DataFrame, address: str) -> list[dict[str, Any]]:
    """Return a task for each recording asked for, in that order: nothing tells why, nor what anybody said of it.

    Args:
        asked: as ``review.queue`` returns it.
        said: judgements (JUDGEMENTS) that follow, as tasks with an annotation.
        address: of the folder of recordings, for Label Studio.
    """

    def task(recording_id: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
        data = {"audio": f"{address.rstrip('/')}/{recording_id}.wav", "recording_id": recording_id}
        return {"data": data, "annotations": annotations}

    done = [task(str(row["recording_id"]), [_annotation(row)]) for row in said.to_dict("records")]
    return [*(task(each.recording_id, []) for each in asked), *done]


def write_tasks(folder: Path, tasks: list[dict[str, Any]], recordings: Iterable[tuple[str, bytes]]) -> None:
    """Write ``tasks.json``, ``interface.xml`` and ``audio/<recording_id>.wav`` to ``folder``.

    Raises:
        LabelStudioError: something is in ``folder``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabelStudioError(f"{folder} is not empty: name a folder that is, or that does not exist yet")
    make_folder(folder.absolute() / AUDIO)
    for recording_id, wav in recordings:
        (folder / AUDIO / f"{recording_id}.wav").write_bytes(wav)
    text = json.dumps(tasks, indent=2, ensure_ascii=False)
    for name, content in ((INTERFACE, interface()), (TASKS, text)):
        write_atomically(folder / name, lambda path, content=content: path.write_text(content, encoding="utf-8"))


def import_judgements(path: Path, settings: Settings, who: str | None = None) -> Imported:
    """Keep the judgements of an export of Label Studio (JSON): all of them or, where one is none, none.

    Who, when and seconds at it are as exported; the same file again changes nothing.

    Args:
        path: of the export.
        settings: of the installation.
        who: who judged, for all; by default the address of Label Studio's user, or ``label studio <number>``.

    Raises:
        LabelStudioError: the file is none, or an annotation is no judgement of a recording of ours.
    """
    known, samples, given, silent = judgeable(settings), samples_of(settings), [], 0
    for number, task in enumerate(_read(path), 1):
        where = f"{path}: task {number}"
        if task.data.recording_id not in known:
            raise LabelStudioError(f"{where} is of {task.data.recording_id!r}, which nobody is asked for here")
        for annotation in task.annotations:
            judgement = (
                None
                if annotation.was_cancelled
                else _judgement(task, annotation, samples.get(task.data.recording_id), who, where)
            )
            silent += judgement is None
            given += [judgement] if judgement else []
    before = set(read_judgements(settings.judgements)["judgement"])
    new = {add_judgement(settings.judgements, each) for each in sorted(given, key=lambda each: each.at)} - before
    return Imported(len(new), len(given) - len(new), silent)


def _read(path: Path) -> list[_Task]:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise LabelStudioError(f"{path} has {size:,} bytes, and more than {MAX_BYTES:,} are not read")
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, list):
            raise LabelStudioError(f"{path} is no export of Label Studio: it begins with no list; export as JSON")
        return [_Task.model_validate(task) for task in content]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise LabelStudioError(f"{path} holds a task that is not ours: {place}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, LabelStudioError):
            raise
        raise LabelStudioError(f"{path} is no JSON ({error}): export as JSON, not as CSV or JSON-MIN") from error


def _judgement(
    task: _Task, annotation: _Annotation, sample: str | None, who: str | None, where: str
) -> Judgement | None:
    """Return what an annotation says; None where no verdict was chosen."""
    chosen = {result.from_name: result.value.choices for result in annotation.result}
    verdicts, reasons = chosen.get(VERDICT, []), chosen.get(REASON, [])
    if not verdicts:
        return None
    if len(verdicts) > 1 or verdicts[0] not in ASKED or len(reasons) > 1:
        raise LabelStudioError(
            f"{where} is judged {', '.join(verdicts + reasons)!r}: one of {', '.join(ASKED)} is allowed"
        )
    said = {
        "recording_id": task.data.recording_id,
        "verdict": verdicts[0],
        "reason": reasons[0] if reasons and verdicts[0] == "cry" else None,
        "who": who or _name(annotation.completed_by),
        "at": annotation.updated_at or annotation.created_at,
        "heard_s": annotation.lead_time or 0.0,
        "sample": sample,
        "origin": "import",
    }
    try:
        return Judgement.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise LabelStudioError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _name(who: _Who | int | None) -> str:
    if isinstance(who, _Who):
        return who.email or f"label studio {who.id}"
    if who is None:
        raise JudgementError("the export does not say who judged: say it with --who")
    return f"label studio {who}"


def _annotation(row: Mapping[Any, Any]) -> dict[str, Any]:
    at: datetime = row["at"]
    choices = [(VERDICT, row["verdict"]), *([(REASON, row["reason"])] if _text(row["reason"]) else [])]
    result = [
        {"from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}
        for name, value in choices
    ]
    return {"result": result, "created_at": at.isoformat(), "lead_time": row["heard_s"], "was_cancelled": False}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
