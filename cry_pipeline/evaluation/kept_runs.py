"""Runs that are still on disk: that of now of each experiment, and those that its parameters of before made.

Belongs here: which there are, by which name one is meant, what they were made from, and their predictions, held against
their evidence. Does not: comparing them (pairs.py), nor what is kept and for how long (orchestration/retention.py).
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.evaluation.evidence import FILE, read_evidence
from cry_pipeline.evaluation.findings import ROUNDING
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.folds.words import COLUMNS
from cry_pipeline.training.current_runs import NotTrainedError, current_run, run_folder
from cry_pipeline.training.fold_folders import DamagedFoldError, read_fold, read_provenance

LOG = logging.getLogger("cry_pipeline")
BEFORE = "before"
"""``experiment@before`` is the run that was trained last of those on the same folds, the current one apart."""
NAMES = ("model", "feature set", "seed")
"""Facts that every two runs can be told apart by; all others are parameters of something."""
DIGITS = 8
"""Of a run's digest, in the name of an earlier run."""


@dataclass(frozen=True)
class KeptRun:
    """A run with its evidence.

    Attributes:
        evidence: the newest that was made of it.
        folder: of its folds.
        made_from: all that its digest is made of, as its provenance says.
        started_at: when its first fold began, ISO 8601 in UTC.
    """

    evidence: Evidence
    folder: Path
    made_from: Mapping[str, Any]
    started_at: str

    @property
    def experiment(self) -> str:
        """The name of its experiment."""
        return self.evidence.provenance.experiment

    @property
    def digest(self) -> str:
        """The digest of the run."""
        return self.evidence.provenance.run_digest

    @property
    def name(self) -> str:
        """What it is called where there are others of its experiment: ``experiment@<beginning of the digest>``."""
        return f"{self.experiment}@{self.digest[:DIGITS]}"

    @property
    def folds(self) -> tuple[str, str, str]:
        """What runs have to share to be compared: cohort, protocol, and the digest of the folds."""
        run = self.evidence.provenance
        return run.cohort, run.protocol, self.evidence.folds_digest

    @property
    def hears(self) -> bool:
        """Whether its model reads features."""
        return self.made_from["inputs"]["features"] is not None

    def rows(self) -> OutOfFold:
        """Return its predictions, having checked that every file is whole and that they are what was evaluated.

        The folds of then need not be there any more: that these are all, and out of fold, the evidence vouches for.

        Raises:
            DamagedFoldError: a file is missing, or is not what was written.
            EvidenceError: they are not the predictions that the evidence was made of.
        """
        of_folds = [read_fold(folder, self.digest) for folder in _fold_folders(self.folder)]
        if not of_folds:
            raise EvidenceError(f"{self.folder} is no longer there")
        predictions = pd.concat(of_folds, ignore_index=True)
        rows = out_of_fold(predictions, predictions[COLUMNS], self.evidence.classes, self.name)
        said, metric = self.evidence, self.evidence.headline_metric
        counts = len(rows.labels), len(np.unique(rows.donors)), len(rows.folds), len(np.unique(rows.folds))
        same = counts == (said.recordings, said.donors, said.repeats, said.folds)
        if not same or abs(float(measure(rows, None, (metric,))[metric]) - said.headline.value) > ROUNDING:
            raise EvidenceError(
                f"{self.folder}: its predictions are not those that evidence {said.digest[:16]} was made of; "
                f"materialize runs and evidence of {self.experiment} again."
            )
        return rows


class Change(NamedTuple):
    """A parameter that two runs do not share, with its value in each; empty where one has no such parameter."""

    what: str
    first: str
    second: str


def kept_runs(experiment: str, evidence: Path, runs: Path) -> list[KeptRun]:
    """Return the runs of ``experiment`` that there are with evidence, the one that was trained last first.

    What is damaged is said and left out.

    Args:
        experiment: its name.
        evidence: root folder of all evidence.
        runs: root folder of all runs.
    """
    kept: dict[str, KeptRun] = {}
    # Of a run whose shortcuts were probed later there is evidence twice: the newest counts.
    for path in sorted((evidence / experiment).glob(f"[!.]*/{FILE}"), key=lambda path: path.stat().st_mtime):
        try:
            found = _kept(read_evidence(path.parent), runs)
        except (EvidenceError, DamagedFileError, DamagedFoldError) as error:
            LOG.warning("%s", error)
            continue
        if found is not None:
            kept[found.digest] = found
    return sorted(kept.values(), key=lambda run: (run.started_at, run.digest), reverse=True)


def find_run(called: str, experiments: Iterable[str], evidence: Path, runs: Path) -> KeptRun:
    """Return the run that ``called`` means: ``experiment``, ``experiment@before`` or ``experiment@<digest begins>``.

    Args:
        called: as written by a person.
        experiments: the names there are.
        evidence: root folder of all evidence.
        runs: root folder of all runs.

    Raises:
        EvidenceError: there is no such experiment, or no such run of it; the message names those that there are.
    """
    experiment, at, which = called.partition("@")
    known = list(experiments)
    if experiment not in known:
        near = get_close_matches(experiment, known, n=1)
        raise EvidenceError(
            f"There is no experiment {experiment!r}; " + (f"is {near[0]} meant?" if near else f"{', '.join(known)}.")
        )
    kept = kept_runs(experiment, evidence, runs)
    if not kept:
        raise EvidenceError(f"{experiment} has no evidence yet: materialize it with `cry-pipeline run`.")
    if not at:
        return _current(experiment, kept, runs)
    if which == BEFORE:
        earlier = before(_current(experiment, kept, runs), kept)
        if earlier is None:
            raise EvidenceError(
                f"{experiment} has no earlier run on the recordings and folds of now; "
                f"there is {', '.join(run.name for run in kept)}."
            )
        return earlier
    meant = [run for run in kept if which and run.digest.startswith(which.lower())]
    if len(meant) != 1:
        raise EvidenceError(
            f"{called} means {'no run' if not meant else 'more than one run'} of {experiment}; "
            f"there are {', '.join(run.name for run in kept)}."
        )
    return meant[0]


def comparable(
    now: Sequence[Evidence], experiments: Iterable[str], evidence: Path, runs: Path, *, earlier: int | None = None
) -> list[KeptRun]:
    """Return the runs of ``now``, and of each experiment others on the same folds as any of these.

    Args:
        now: the evidence of now.
        experiments: the names there are, in the order of the result; of each the run of now comes first.
        evidence: root folder of all evidence.
        runs: root folder of all runs.
        earlier: how many of an experiment's earlier runs, at most; None for all.
    """
    folds = {(run.provenance.cohort, run.provenance.protocol, run.folds_digest) for run in now}
    current = {run.provenance.run_digest: run for run in now}
    found = []
    for name in experiments:
        kept = [run for run in kept_runs(name, evidence, runs) if run.folds in folds]
        # With the standing among all of now, which no file holds.
        found += [replace(run, evidence=current[run.digest]) for run in kept if run.digest in current]
        found += [run for run in kept if run.digest not in current][:earlier]
    return found


def current_runs(experiments: Iterable[str], evidence: Path, runs: Path) -> list[KeptRun]:
    """Return the run of each of ``experiments`` that was finished last, where there is one with evidence.

    Args:
        experiments: the names there are.
        evidence: root folder of all evidence.
        runs: root folder of all runs.
    """
    found = ((name, kept_runs(name, evidence, runs)) for name in experiments)
    return [_current(name, kept, runs) for name, kept in found if kept]


def before(run: KeptRun, kept: Sequence[KeptRun]) -> KeptRun | None:
    """Return the run trained last among ``kept``, the newest first, that ``run`` can be held against; not itself."""
    return next((other for other in kept if other.folds == run.folds and other.digest != run.digest), None)


def facts(run: KeptRun, parameters: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return what a run is made from, by name, as text: what of it is another thing in another run is what changed.

    Args:
        run: any.
        parameters: what the digest of its feature set is made of; None where nothing tells it any more.
    """
    names, made = run.evidence.provenance, run.made_from
    spec = dict(made["spec"])
    flat = dict(zip(NAMES, (names.model, names.feature_set, str(names.seed)), strict=True))
    flat |= _flat({f"model.{key}": value for key, value in spec.pop("model").items()}) | _flat(spec)
    flat |= _flat({f"library.{name}": version for name, version in made["libraries"].items()})
    flat |= _flat(made["inputs"].get("machine", {})) | {"revision of training": str(made["revision"])}
    if not run.hears:
        del flat["feature set"]
    elif parameters is None:
        flat["features.digest"] = names.feature_digest[:DIGITS]
    else:
        spec = parameters["spec"]
        flat |= _flat({f"features.{name}": value for name, value in spec["parameters"].items()})
        flat |= _flat({f"features.revision of {name}": value for name, value in spec["kinds"].items()})
        flat |= _flat({f"features.{name}": version for name, version in parameters["libraries"].items()})
    return flat


def changes(first: Mapping[str, str], second: Mapping[str, str]) -> list[Change]:
    """Return what differs between the facts of two runs.

    Where two models are of two kinds, or one of them reads no features, names alone: parameters are not the same ones.
    """
    one_kind = first.get("model.kind") == second.get("model.kind")
    both_hear = "feature set" in first and "feature set" in second

    def is_told(name: str) -> bool:
        return name in NAMES or (both_hear if name.startswith("features.") else one_kind)

    names = [name for name in dict.fromkeys([*first, *second]) if is_told(name)]
    differing = [name for name in names if first.get(name) != second.get(name)]
    return [Change(name, first.get(name, ""), second.get(name, "")) for name in differing]


def _kept(evidence: Evidence, runs: Path) -> KeptRun | None:
    """Return the run behind ``evidence``; None if it is no longer there."""
    run = evidence.provenance
    folder = run_folder(run.experiment, run.run_digest, runs)
    folds = _fold_folders(folder)
    if not folds:
        return None
    said = read_provenance(folds[0])
    return KeptRun(evidence, folder, said["made_from"], said["started_at"])


def _fold_folders(run: Path) -> list[Path]:
    return sorted(run.glob("fold-*"))


def _current(experiment: str, kept: Sequence[KeptRun], runs: Path) -> KeptRun:
    """Return the run that was finished last; where there is no evidence of that yet, the one trained last that has."""
    try:
        digest = current_run(experiment, runs).digest
    except NotTrainedError:
        digest = None
    return next((run for run in kept if run.digest == digest), kept[0])


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Return nested ``values`` as text by dotted names."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat
