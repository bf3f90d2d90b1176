"""The `cry-pipeline review` commands.

Belongs here: arguments, lines and tables. Does not: work (donations does it), nor anything heavy at import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, print_table, say, settings, share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cry_pipeline.settings import Settings

review_app = typer.Typer(
    help="What people say of recordings after listening: donations that triage shows, and blind samples of the corpus."
)
Who = Annotated[str, typer.Option("--who", help="Who judges; by default the name that is logged in.")]
Recording = Annotated[str, typer.Argument(help="Its id, or the beginning of it.")]
Heard = Annotated[float, typer.Option("--heard", help="Seconds that were played before.", min=0)]
LEAST = 6
"""Digits that stand for an id, at least."""


def _me() -> str:
    import getpass

    return getpass.getuser()


def _who(name: str) -> str:
    return name or _me()


@review_app.command("list")
def review_list(
    who: Who = "",
    judged: Annotated[bool, typer.Option("--judged", help="What you have judged, instead.")] = False,
) -> None:
    """List what you are asked to listen to, in the order to do it. Nothing tells why, nor what anybody else said.

    `cry-pipeline serve` plays the same list, with keys to answer.
    """
    from cry_pipeline.donations.review import progress, queue

    where, me = settings(), _who(who)
    if judged:
        _print(_said(where, me))
        return
    seconds = _durations(where)
    asked = queue(where, catalog(where.catalog), me)
    _print([{"recording": each.recording_id, "seconds": seconds.get(each.recording_id, 0.0)} for each in asked])
    done, left = progress(where, catalog(where.catalog), me)
    say(f"{me} has judged {done} recordings and is asked for {left}.")


@review_app.command("show")
def review_show(
    recording: Recording,
    who: Who = "",
    everybody: Annotated[bool, typer.Option("--all", help="What everybody said, too: not before you judge.")] = False,
) -> None:
    """Show what you said of a recording, the latest last, and where it is played."""
    from cry_pipeline.donations.review import judgeable

    where = settings()
    recording_id = _meant(recording, judgeable(where))
    rows = _said(where, None if everybody else _who(who), recording_id)
    _print(rows)
    say(f"{recording_id}: {where.site_address}/recordings/{recording_id}.wav while `cry-pipeline serve` runs.")


@review_app.command("accept")
def review_accept(
    recordings: Annotated[list[str], typer.Argument(help="Ids, or beginnings of them.")],
    who: Who = "",
    heard: Heard = 0.0,
    reason: Annotated[str | None, typer.Option(help="Why the baby cries, if you can tell.")] = None,
) -> None:
    """Say of recordings that they are cries."""
    _judge(recordings, "cry", _who(who), heard, reason)


@review_app.command("reject")
def review_reject(
    recordings: Annotated[list[str], typer.Argument(help="Ids, or beginnings of them.")],
    who: Who = "",
    heard: Heard = 0.0,
    unusable: Annotated[
        bool, typer.Option("--unusable", help="Neither a cry nor none: it is to teach nothing.")
    ] = False,
) -> None:
    """Say of recordings that they are no cries."""
    _judge(recordings, "unusable" if unusable else "not_cry", _who(who), heard)


@review_app.command("undo")
def review_undo(who: Who = "") -> None:
    """Take back what you said last; once more, what you said before that."""
    from cry_pipeline.donations.review import undo

    where, me = settings(), _who(who)
    recording_id = undo(where, me)
    share(where, "judgements")
    say(f"Taken back: {recording_id}." if recording_id else f"{me} has said nothing that could be taken back.")


@review_app.command("sample")
def review_sample(
    each: Annotated[
        int, typer.Option(help="Recordings that the models contradict, and as many at random.", min=1)
    ] = 50,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the day.")] = None,
) -> None:
    """Draw recordings of the corpus to be heard again, blindly, by everybody who reviews."""
    from cry_pipeline.donations.relistening import draw_sample

    where = settings()
    sample = draw_sample(where, catalog(where.catalog), each, name)
    share(where, "judgements")
    say(
        f"Sample {sample.name}: {len(sample.drawn)} of {sample.recordings} recordings of the corpus are asked for now, "
        "mixed among the donations. The page Re-listening shows what comes of it."
    )


@review_app.command("export")
def review_export(
    folder: Annotated[Path, typer.Argument(help="Where to; it must be empty, or not exist.")],
    who: Who = "",
    address: Annotated[
        str, typer.Option(help="Of the folder audio/ for Label Studio: of a server, or of its local storage.")
    ] = "/data/local-files/?d=audio",
    judged: Annotated[
        bool, typer.Option("--judged", help="What you have judged goes along, with your verdict.")
    ] = False,
) -> None:
    """Write what you are asked for as tasks for Label Studio, with the recordings as WAV. They leave the pipeline:
    `withdraw` cannot reach them there.
    """
    from cry_pipeline.corpus.judgements import latest_of_each, person, read_judgements
    from cry_pipeline.donations.label_studio import INTERFACE, TASKS, tasks_of, write_tasks
    from cry_pipeline.donations.review import queue
    from cry_pipeline.serving.recordings import recording_wav

    where, me = settings(), _who(who)
    said = latest_of_each(read_judgements(where.judgements))
    said = said[(said["who"] == person(me)) & judged]
    tasks = tasks_of(queue(where, catalog(where.catalog), me), said, address)
    wavs = ((task["data"]["recording_id"], recording_wav(task["data"]["recording_id"], where)) for task in tasks)
    write_tasks(folder, tasks, wavs)
    say(f"{folder}: {len(tasks)} tasks in {TASKS}, {INTERFACE} for the project's labelling interface, audio/.")


@review_app.command("import")
def review_import(
    path: Annotated[Path, typer.Argument(help="Export of Label Studio, as JSON.", exists=True, dir_okay=False)],
    who: Annotated[str | None, typer.Option(help="Who judged; by default as Label Studio says.")] = None,
) -> None:
    """Keep the judgements that were given in Label Studio; the same file again changes nothing."""
    from cry_pipeline.donations.label_studio import import_judgements

    where = settings()
    new, known, silent = import_judgements(path, where, who)
    share(where, "judgements")
    say(f"{new} judgements are new, {known} were here already, {silent} annotations say nothing.")


def _print(rows: list[dict[str, object]]) -> None:
    print_table(rows) if rows else say("Nothing.")


def _judge(recordings: list[str], verdict: str, who: str, heard_s: float, reason: str | None = None) -> None:
    from cry_pipeline.donations.review import judge, judgeable

    where = settings()
    known = judgeable(where)
    # All are looked up before any is kept: a misspelt one keeps nothing.
    for recording_id in [_meant(recording, known) for recording in recordings]:
        judge(where, recording_id, verdict, who, heard_s=heard_s, reason=reason, origin="command")
        say(f"{recording_id}: {verdict.replace('_', ' ')}, says {who}.")
    share(where, "judgements")


def _meant(called: str, known: "Iterable[str]") -> str:
    from cry_pipeline.corpus.judgements import JudgementError

    found = [recording_id for recording_id in known if len(called) >= LEAST and recording_id.startswith(called.lower())]
    if len(found) != 1:
        raise JudgementError(
            f"{called!r} means {len(found)} of the recordings that can be judged: `cry-pipeline review list` says what "
            f"is asked for; the first {LEAST} digits or more are enough"
        )
    return found[0]


def _durations(where: "Settings") -> dict[str, float]:
    from cry_pipeline.artefacts import read_table

    manifest = read_table(where.manifests / "recordings.parquet")
    return dict(zip(manifest["recording_id"], manifest["duration_s"].round(1), strict=True))


def _said(where: "Settings", who: str | None, recording_id: str | None = None) -> list[dict[str, object]]:
    """Return what was said, retractions too, oldest first: by ``who`` or everybody, of one recording or all."""
    from cry_pipeline.corpus.judgements import person, read_judgements

    said = read_judgements(where.judgements)
    said = said[(said["who"] == person(who)) | (who is None)]
    said = said[(said["recording_id"] == recording_id) | (recording_id is None)]
    return [
        {
            "recording": row["recording_id"],
            "verdict": str(row["verdict"]).replace("_", " "),
            "reason": row["reason"] if isinstance(row["reason"], str) else "",
            "who": row["who"],
            "at": f"{row['at']:%Y-%m-%d %H:%M}",
            "heard s": round(row["heard_s"], 1),
        }
        for row in said.to_dict("records")
    ]
