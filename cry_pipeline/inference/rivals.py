"""A challenger against the champion of now and those before: is it worse by more than may be lost?

Belongs here: which runs are compared, on which recordings, and what a comparison says. Does not: what follows
(promotion.py), and the paired test's arithmetic (evaluation/comparisons.py).

Two rules, both with the catalog's margin. Against the champion: the lower end of the interval of the paired difference
is above -margin (non-inferiority: what is not known does not count in the challenger's favour). Against each earlier
champion: the difference itself is above -margin. Without the second, a series of challengers, each a little worse than
the one before and all within the margin, would lead down without an end.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cry_pipeline.evaluation.comparisons import compare
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import HEADLINES, METRIC_NAMES
from cry_pipeline.inference import champions
from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.champions import Event, champion_folder
from cry_pipeline.targets import Target
from cry_pipeline.training.fold_folders import DamagedFoldError, read_fold

KEYS = ["recording_id", "donor", "label", "repeat", "fold"]
SHARED = 0.5
"""Least share of the smaller of two runs' recordings that the other must have tested, too, for a comparison."""


class Point(NamedTuple):
    """One point for or against a candidate."""

    passed: bool
    sentence: str


def compare_with(candidate: Candidate, target: Target, before: Mapping[str, str], runs: Path, margin: float) -> Point:
    """Return whether ``candidate`` is worse than the champion's run ``before`` by ``margin`` at most."""
    name, metric = f"the champion's {before['experiment']}", HEADLINES[target]
    try:
        first, second = _paired(candidate, before, runs)
        found = compare(first, second, metric=metric, between="models")
    except (DamagedFoldError, EvidenceError) as error:
        return Point(
            False,
            f"{target}: cannot be compared with {name}: {error} (remove models/{champions.POINTER} to begin anew)",
        )
    passed = found.low >= -margin
    word = "not worse" if passed else "perhaps worse" if found.not_worse else "worse"
    return Point(
        passed,
        f"{target}: {word} than {name} by more than {margin:g}: {METRIC_NAMES[metric]} {found.difference:+.3f} "
        f"(95 % interval {found.low:+.3f} to {found.high:+.3f}, {len(first.recording_ids)} recordings)",
    )


def compare_with_earlier(
    candidate: Candidate, target: Target, events: Sequence[Event], runs: Path, margin: float
) -> list[Point]:
    """Return a point for the earlier champion of ``events`` that ``candidate`` falls furthest short of, if any.

    Earlier are all but the champion of now (the last), and those that were rolled back from. What cannot be compared
    any more, because its run is gone or too few recordings are left of it, is said if nothing can, and stops nobody.
    """
    metric, banned = HEADLINES[target], champions.rolled_back_from(list(events))
    ours = {"experiment": candidate.experiment, "run": candidate.evidence.provenance.run_digest}
    earlier = {event.runs[target]["run"]: event for event in events if target in event.runs}
    compared: list[tuple[float, str]] = []
    gone = 0
    for run, event in earlier.items():
        if event.digest in banned or run in (ours["run"], events[-1].runs.get(target, {}).get("run")):
            continue
        try:
            pair = _paired(candidate, event.runs[target], runs)
        except (DamagedFoldError, EvidenceError):
            gone += 1
            continue
        difference = float(measure(pair[0], None, (metric,))[metric] - measure(pair[1], None, (metric,))[metric])
        compared.append((difference, f"{event.runs[target]['experiment']} of {event.at[:10]}"))  # noqa: PD008
    if not compared:
        return [Point(True, f"{target}: no earlier champion can be compared with any more")] if gone else []
    least, name = min(compared)
    passed = least >= -margin
    return [
        Point(
            passed,
            f"{target}: {'not below' if passed else 'below'} the best champion so far by more than {margin:g}: "
            f"{METRIC_NAMES[metric]} {least:+.3f} against {name}",
        )
    ]


def answers(models: Path, digest: str, target: Target) -> bool:
    """Return whether the champion in use answers the question of ``target``; of one that cannot be read, that it may.

    What gives no answer, as its evidence is at chance, cannot get worse; and chance has wide intervals.
    """
    try:
        part = read_bundle(champion_folder(models, digest)).targets.get(target)
    except BundleError:
        return True
    return part is None or part.evidence.supports_an_answer


def _paired(candidate: Candidate, before: Mapping[str, str], runs: Path) -> tuple[OutOfFold, OutOfFold]:
    pair = _on_same_folds(candidate.predictions, stored_predictions(before, runs))
    first, second = (
        out_of_fold(rows, rows[KEYS], candidate.cohort.classes, label)
        for rows, label in zip(pair, (candidate.experiment, before["experiment"]), strict=True)
    )
    return first, second


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
    if len(shared) < SHARED * min(len(new), len(old)):
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
