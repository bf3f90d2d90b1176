"""Promotion, which has to be earned: a candidate is exported, held against the pipeline and against the incumbent.

Belongs here: the rules by which a candidate becomes the champion. Does not: the switch itself (champions.py), making
a bundle (building.py), the paired test's arithmetic (evaluation/comparisons.py), and Dagster's blocking checks on
data and folds, without which no candidate gets here.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cry_pipeline.evaluation.comparisons import compare
from cry_pipeline.evaluation.predictions import EvidenceError, out_of_fold
from cry_pipeline.evaluation.records import HEADLINES, METRIC_NAMES
from cry_pipeline.inference import champions
from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate, bundle_digest
from cry_pipeline.inference.champions import Event, champion_folder, history
from cry_pipeline.inference.parity import check_parity
from cry_pipeline.targets import Target
from cry_pipeline.training.fold_folders import DamagedFoldError, read_fold

LOG = logging.getLogger("cry_pipeline")
KEYS = ["recording_id", "donor", "label", "repeat", "fold"]
ALREADY = "it is the champion already"
SHARED = 0.5
"""Least share of the candidate's recordings that the incumbent must have tested, too, for a comparison."""


class Decision(NamedTuple):
    """What came of a candidate: ``champion`` is the digest in use now, ``why`` what was found, point by point."""

    champion: str | None
    candidate: str
    promoted: bool
    why: list[str]


class Point(NamedTuple):
    """One point for or against a candidate."""

    passed: bool
    sentence: str


def promote(
    candidates: Mapping[Target, Candidate],
    audio: Callable[[str], Path | None],
    *,
    models: Path,
    runs: Path,
    per_fold: int | None = None,
) -> Decision:
    """Make the bundle of ``candidates`` the champion if it earns it; otherwise all stays as it is.

    It must not have been rolled back from; for each target it must not be worse than the incumbent under the paired
    test; its graphs must equal torch, and its predictions of audio files the stored out-of-fold ones.

    Args:
        candidates: the runs to export, by target; ``cry`` is needed.
        audio: returns where the file of a recording id is.
        models: folder of the champions.
        runs: folder of all runs; the incumbent's predictions are read from there.
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
            return Decision(digest, digest, bool(placed), [*(point.sentence for point in placed), ALREADY])
        points = [] if present in (None, digest) else contest(candidates, digest, events, runs)
        if all(point.passed for point in points):
            placed = placed or _placed(candidates, digest, audio, models, per_fold)
            points += placed
        if refused := [point.sentence for point in points if not point.passed]:
            return Decision(present, digest, False, refused)
        why = [point.sentence for point in points]
        event = champions.promotion(digest, present, made_of, why)
        if present == digest or champions.switch(models, event, only_from_previous=True):
            return Decision(digest, digest, True, why)
        LOG.info("champion: another process switched it meanwhile; now compared with that one")


def contest(candidates: Mapping[Target, Candidate], digest: str, events: list[Event], runs: Path) -> list[Point]:
    """Return what speaks for and against ``candidates`` beside the champion, the last of ``events``."""
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
        else:
            points.append(compare_with(candidate, target, before, runs))
    return points


def compare_with(candidate: Candidate, target: Target, before: Mapping[str, str], runs: Path) -> Point:
    """Return whether ``candidate`` is, by the paired test, not worse than the run ``before``."""
    name, metric = f"the champion's {before['experiment']}", HEADLINES[target]
    try:
        pair = _on_same_folds(candidate.predictions, stored_predictions(before, runs))
        first, second = (
            out_of_fold(rows, rows[KEYS], candidate.cohort.classes, label)
            for rows, label in zip(pair, (candidate.experiment, name), strict=True)
        )
        comparison = compare(first, second, metric=metric)
    except (DamagedFoldError, EvidenceError) as error:
        return Point(
            False,
            f"{target}: cannot be compared with {name}: {error} (remove models/{champions.POINTER} to begin anew)",
        )
    word = "not worse" if comparison.not_worse else "worse"
    return Point(
        comparison.not_worse,
        f"{target}: {word} than {name}: {METRIC_NAMES[metric]} {comparison.difference:+.3f} "
        f"(95 % interval {comparison.low:+.3f} to {comparison.high:+.3f}, {len(first.recording_ids)} recordings)",
    )


def _on_same_folds(new: pd.DataFrame, old: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two runs' predictions on the same rows and folds.

    Where the folds differ, because donations came in between, these are the recordings of repeat 0 that both runs
    tested. What counts as a fold are then those that shared both folds, so that within it each run's scores come from
    one model; each model still saw no recording of the donors it is judged on.
    """
    order = ["repeat", "recording_id"]
    new, old = (rows.sort_values(order, ignore_index=True) for rows in (new, old))
    if new[KEYS].equals(old[KEYS]):
        return new, old
    new, old = (rows[rows["repeat"] == 0] for rows in (new, old))
    shared = new[KEYS].merge(old[KEYS], on=["recording_id", "donor", "label"], suffixes=("", "_old"))
    if len(shared) < SHARED * len(new):
        raise EvidenceError(f"only {len(shared)} of {len(new)} recordings were tested by both")
    shared["fold"] = shared["fold"] * (int(shared["fold_old"].max()) + 1) + shared["fold_old"]
    keys = shared[KEYS]
    both = [keys.merge(rows.drop(columns=KEYS[1:]), on="recording_id") for rows in (new, old)]
    return both[0], both[1]


def stored_predictions(run: Mapping[str, str], runs: Path) -> pd.DataFrame:
    """Return the predictions of all folds of a run that a champion was made of (``experiment`` and ``run``).

    Raises:
        DamagedFoldError: the run is not there any more, or not what was written.
    """
    folder = runs / run["experiment"] / run["run"][:16]
    folds = sorted(folder.glob("fold-*"))
    if not folds:
        raise DamagedFoldError(f"its run {folder} is not there")
    return pd.concat([read_fold(fold, run["run"]) for fold in folds], ignore_index=True)


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
