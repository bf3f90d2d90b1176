"""The commands `cry-pipeline predict` and `cry-pipeline champion`.

Belongs here: arguments, lines and tables. Does not: work (inference does it), nor anything heavy at import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.terminal import print_table, settings, shown

if TYPE_CHECKING:
    from cry_pipeline.inference.predict import Prediction

champion_app = typer.Typer(help="The exported model in use: what it is, what it was, and the way back.")


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Audio files, and folders whose audio files are taken.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each file.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="Folder of a bundle; the champion by default.")] = None,
) -> None:
    """Say of each recording whether it is a cry, and why the baby cries where the evidence allows an answer.

    Not for diagnosis. A file that cannot be used is said, the others go on.

    Of a folder, files without a suffix of audio are left out and named on stderr.

    Exit codes: 0, all were answered; 1, not all, or there is no bundle; 2, usage.
    """
    from cry_pipeline.inference.listing import list_audio
    from cry_pipeline.inference.predict import predictor

    asked, listed = predictor(bundle), list_audio(paths)
    if listed.left_out:
        typer.echo(f"Left out: {shown(listed.sentence)}.", err=True)
    predictions = asked.predict_files(listed.files)
    if as_json:
        failed = 0
        for prediction in predictions:
            failed += prediction.error is not None
            typer.echo(prediction.as_json())
    else:
        found = list(predictions)
        failed = sum(prediction.error is not None for prediction in found)
        print_table([_row(prediction) for prediction in found])
        for verdict in dict.fromkeys(prediction.verdict for prediction in found if len(found) == 1):
            typer.echo(shown(verdict))
        typer.echo(f"Bundle {found[0].bundle}. Not for diagnosis.")
    if failed:
        raise typer.Exit(1)


def _row(prediction: "Prediction") -> dict[str, str]:
    probability = prediction.cry_probability
    best = max(prediction.reasons, key=prediction.reasons.__getitem__, default="")
    answer = "abstained" if prediction.abstained else f"{best} {prediction.reasons[best]:.2f}"
    return {
        "file": prediction.path,
        "cry": "" if probability is None else f"{probability:.3f}",
        "reason": "" if prediction.error else answer,
        "verdict": prediction.verdict,
    }


@champion_app.command("show")
def champion_show() -> None:
    """Show the champion's model card."""
    from cry_pipeline.inference.bundle import CARD, read_bundle
    from cry_pipeline.inference.champions import current

    bundle = read_bundle(current(settings().models))
    typer.echo(f"{bundle.folder}\n\n{(bundle.folder / CARD).read_text(encoding='utf-8')}")


@champion_app.command("history")
def champion_history() -> None:
    """List every switch of the champion, oldest first, with what it rested on."""
    from cry_pipeline.inference.champions import ChampionError, history

    events = history(settings().models)
    if not events:
        raise ChampionError("there has been no champion yet: make one with `cry-pipeline run`")
    print_table(
        [
            {
                "at": event.at,
                "event": event.event,
                "champion": event.digest[:16],
                "before": (event.previous or "")[:16],
                "why": "; ".join(event.why),
            }
            for event in events
        ]
    )


@champion_app.command("rollback")
def champion_rollback(
    to: Annotated[str | None, typer.Option(help="Digest, or its beginning; the champion before by default.")] = None,
) -> None:
    """Make an earlier champion the champion again; what is rolled back from is not promoted again by itself."""
    from cry_pipeline.inference.champions import roll_back

    event = roll_back(settings().models, to)
    typer.echo(f"The champion is {event.digest[:16]} again, after {(event.previous or '')[:16]}.")
