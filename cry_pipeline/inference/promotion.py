"""Promotion, which has to be earned: a candidate is exported, held against the pipeline and against the incumbent.

Belongs here: the rules by which a candidate becomes the champion. Does not: the comparison with champions of now and
before (rivals.py), the switch itself (champions.py), making a bundle (building.py), and Dagster's blocking checks on
data and folds, without which no candidate gets here.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cry_pipeline.inference import champions, refusals
from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate, bundle_digest
from cry_pipeline.inference.champions import Event, champion_folder, history
from cry_pipeline.inference.parity import check_parity
from cry_pipeline.inference.rivals import Point, answers, compare_with, compare_with_earlier
from cry_pipeline.inference.rivals import stored_predictions as stored_predictions
from cry_pipeline.targets import Target

LOG = logging.getLogger("cry_pipeline")
ALREADY = "it is the champion already"


class Decision(NamedTuple):
    """What came of a candidate: ``champion`` is the digest in use now, ``why`` what was found, point by point."""

    champion: str | None
    candidate: str
    promoted: bool
    why: list[str]


def promote(
    candidates: Mapping[Target, Candidate],
    audio: Callable[[str], Path | None],
    *,
    models: Path,
    runs: Path,
    margin: float,
    per_fold: int | None = None,
) -> Decision:
    """Make the bundle of ``candidates`` the champion if it earns it; otherwise note the refusal, and all stays.

    It must not have been rolled back from; for each target that the incumbent answers it must not be worse than that
    one, nor than the best before it, by more than the margin (rivals.py); its graphs must equal torch, and its
    predictions of audio files the stored out-of-fold ones.

    Args:
        candidates: the runs to export, by target; ``cry`` is needed.
        audio: returns where the file of a recording id is.
        models: folder of the champions.
        runs: folder of all runs; the predictions of the champions are read from there.
        margin: by how much the headline may be lower, see rivals.py.
        per_fold: recordings of each fold whose audio files are predicted for the comparison; None for all.

    Raises:
        ExportError, CandidateError: no bundle can be made of the candidates.
        ChampionError: the history cannot be read.
    """
    digest = bundle_digest(candidates)
    made_of: dict[Target, dict[str, str]] = {target: _run_of(candidate) for target, candidate in candidates.items()}
    placed: list[Point] = []
    while True:
        events = history(models)
        incumbent = events[-1] if events else None
        present = incumbent.digest if incumbent else None
        if present == digest and _sound(models, digest):
            refusals.settle(models)
            return Decision(digest, digest, bool(placed), [*(point.sentence for point in placed), ALREADY])
        points = [] if present in (None, digest) else contest(candidates, digest, events, runs, models, margin)
        if all(point.passed for point in points):
            placed = placed or _placed(candidates, digest, audio, models, per_fold)
            points += placed
        if refused := [point.sentence for point in points if not point.passed]:
            refusals.note(models, digest, present, made_of, refused)
            return Decision(present, digest, False, refused)
        why = [point.sentence for point in points]
        event = champions.promotion(digest, present, made_of, why)
        if present == digest or champions.switch(models, event, only_from_previous=True):
            refusals.settle(models)
            return Decision(digest, digest, True, why)
        LOG.info("champion: another process switched it meanwhile; now compared with that one")


def contest(
    candidates: Mapping[Target, Candidate], digest: str, events: list[Event], runs: Path, models: Path, margin: float
) -> list[Point]:
    """Return what speaks for and against ``candidates`` beside the champion, the last of ``events``, and before."""
    incumbent = events[-1]
    points = []
    if digest in champions.rolled_back_from(events):
        points.append(
            Point(
                False,
                f"{digest[:16]} was rolled back from, and is not promoted by itself; to have it again: "
                f"cry-pipeline champion rollback --to {digest[:16]}",
            )
        )
    for target, candidate in candidates.items():
        before = incumbent.runs.get(target)
        if before is None:
            points.append(Point(True, f"{target}: the champion has none to compare with"))
        elif before == _run_of(candidate):
            points.append(Point(True, f"{target}: the same run as the champion's"))
        elif not answers(models, incumbent.digest, target):
            points.append(Point(True, f"{target}: the champion's evidence supports no answer, so none is lost"))
        else:
            points.append(compare_with(candidate, target, before, runs, margin))
            points += compare_with_earlier(candidate, target, events, runs, margin)
    return points


def _placed(
    candidates: Mapping[Target, Candidate],
    digest: str,
    audio: Callable[[str], Path | None],
    models: Path,
    per_fold: int | None,
) -> list[Point]:
    """Export the bundle and put it in its place if it equals the pipeline."""
    from cry_pipeline.inference.building import build_bundle

    points: list[Point] = []

    predictions: dict[Target, pd.DataFrame] = {
        target: candidate.predictions for target, candidate in candidates.items()
    }

    def accept(folder: Path) -> list[str]:
        parity = check_parity(read_bundle(folder), predictions, audio, per_fold=per_fold)
        points.append(Point(parity.ok, parity.sentence))
        return [] if parity.ok else [parity.sentence]

    champions.place(models, digest, lambda folder: build_bundle(candidates, folder), accept)
    return points


def _sound(models: Path, digest: str) -> bool:
    try:
        return read_bundle(champion_folder(models, digest)).digest == digest
    except BundleError:
        return False


def _run_of(candidate: Candidate) -> dict[str, str]:
    return {"experiment": candidate.experiment, "run": candidate.evidence.provenance.run_digest}
