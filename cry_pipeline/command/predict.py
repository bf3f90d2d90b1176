"""The `cry-pipeline predict` command.

Belongs here: arguments, lines and tables. Does not: work (inference does it), nor anything heavy at import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import print_table, say

if TYPE_CHECKING:
    from cry_pipeline.inference.predict import Prediction


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Audio files, and folders of audio files.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each file.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="Folder of a bundle; by default the champion.")] = None,
) -> None:
    """Tell whether each recording is a cry, and why the baby cries if the evidence allows an answer.

    Not for diagnosis. A file that cannot be used gets an error, and the others go on.

    In a folder, files without a suffix of audio are left out, and named on stderr.

    Exit codes: 0, all files were answered; 1, not all were, or there is no bundle; 2, wrong usage.
    """
    from cry_pipeline.inference.listing import list_audio
    from cry_pipeline.inference.predict import predictor

    asked, listed = predictor(bundle), list_audio(paths)
    if listed.left_out:
        say(f"Left out: {listed.sentence}.", err=True)
    predictions = asked.predict_files(listed.files)
    if as_json:
        failed = 0
        for prediction in predictions:
            failed += prediction.error is not None
            say(prediction.as_json())
    else:
        answers = list(predictions)
        failed = sum(prediction.error is not None for prediction in answers)
        print_table([_row(prediction) for prediction in answers])
        for verdict in dict.fromkeys(prediction.verdict for prediction in answers if len(answers) == 1):
            say(verdict)
        say(f"Bundle {answers[0].bundle}. Not for diagnosis.")
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
