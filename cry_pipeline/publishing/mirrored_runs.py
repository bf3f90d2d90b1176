"""Runs of ours → MLflow's runs: parameters, metrics with intervals, verdict, evidence and page.

Belongs here: what is told of a run, and telling it once. Does not: MLflow's verbs (mlflow_server.py), bundles
(mirrored_models.py), and when all of it is done (mirror.py).

A run of MLflow's is known by the digest of ours, in a tag. A last tag, the digest of all that was told, says that it is
whole and current: without it, or with another, everything is told again.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cry_pipeline.digests import digest, sha256_of
from cry_pipeline.evaluation.evidence import FILE, evidence_folder
from cry_pipeline.evaluation.kept_runs import KeptRun, facts
from cry_pipeline.features.store.store import described
from cry_pipeline.publishing.mlflow_server import LONGEST_PARAM, NOTE, PARENT, Server, fit, without
from cry_pipeline.settings import Settings
from cry_pipeline.tracking import KIND, MIRRORED, RUN, TRAINING
from cry_pipeline.training.fold_folders import read_provenance

if TYPE_CHECKING:
    from mlflow.entities import Run

REVISION = 1
"""Raised when other things are told, so that all are told again."""
WHOLE, CURRENT = "cry_pipeline.told", "current"
PAGE, EVIDENCE = "report", "evidence"
"""Folders among the artifacts of a run."""


@dataclass(frozen=True)
class Telling:
    """All that is told of a run; ``files`` by the path that they get among its artifacts."""

    run: str
    name: str
    cohort: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, Path]
    started_ms: int
    ended_ms: int
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> str:
        """The digest of all of it."""
        said = {"params": self.params, "metrics": self.metrics, "tags": self.tags, "files": self.hashes}
        return digest(revision=REVISION, run=self.run, times=[self.started_ms, self.ended_ms], **said)


def telling_of(kept: KeptRun, settings: Settings, page: Path | None, *, current: bool) -> Telling:
    """Return what is told of a run.

    Args:
        kept: the run with its evidence; where it is of now, with the standing among all that were tried.
        settings: of the installation.
        page: of its experiment, where that is a page of this evidence.
        current: whether it is its experiment's run of now.
    """
    evidence, names = kept.evidence, kept.evidence.provenance
    parameters = described(settings.features, names.feature_digest) if kept.hears else None
    files = {f"{EVIDENCE}/{FILE}": evidence_folder(settings.evidence, names.experiment, evidence.digest) / FILE}
    files |= {f"{PAGE}/{page.name}": page} if page else {}
    started, ended = _times(kept)
    tags = {
        KIND: MIRRORED,
        RUN: kept.digest,
        CURRENT: str(current).lower(),
        "verdict": evidence.verdict,
        "verdict_among": f"{evidence.tried} tried" if evidence.family else "by itself",
        "headline_metric": evidence.headline_metric,
        "cohort": names.cohort,
        "protocol": names.protocol,
        "model": names.model,
        "feature_set": names.feature_set,
        "evidence": evidence.digest,
        "data": "SYNTHETIC" if evidence.synthetic else "recordings",
        NOTE: ("SYNTHETIC DATA. " if evidence.synthetic else "") + evidence.sentence,
    }
    if evidence.qualification:
        tags["qualification"] = evidence.qualification
    return Telling(
        run=kept.digest,
        name=names.experiment,
        cohort=names.cohort,
        params=fit({**facts(kept, parameters), "cohort": names.cohort, "protocol": names.protocol}, LONGEST_PARAM),
        metrics=_metrics(kept),
        tags=tags,
        files=files,
        started_ms=started,
        ended_ms=ended,
        hashes={path: sha256_of(file.read_bytes()) for path, file in files.items()},
    )


def tell(telling: Telling, there: "Run | None", trainings: "list[Run]", server: Server) -> str:
    """Tell all of a run, in MLflow's run ``there``, if any; return MLflow's id of it.

    ``trainings`` are the curves of its folds, which are shown below it then. What was told before and is told
    otherwise now as a parameter, which MLflow does not let anybody change, makes a new run of it.
    """
    if there is not None and not _agree(there, telling):
        server.delete_run(there.info.run_id)
        there = None
    tags = without(telling.tags, (KIND, RUN))
    if there is None:
        marks = {KIND: MIRRORED, RUN: telling.run}
        run_id = server.new_run(telling.cohort, telling.name, marks, telling.started_ms)
    else:
        run_id = there.info.run_id
        server.note(run_id, tags={WHOLE: ""})
    server.remove_files(run_id, PAGE)  # it may have had another name
    server.upload(run_id, telling.files)
    server.note(run_id, params=telling.params, metrics=telling.metrics, tags=tags, at_ms=_now_ms())
    for training in trainings:
        server.note(training.info.run_id, tags={PARENT: run_id})
    server.finish(run_id, telling.ended_ms)
    server.note(run_id, tags={WHOLE: telling.whole})
    return run_id


def is_told(there: "Run | None", telling: Telling, trainings: "list[Run]") -> bool:
    """Return whether MLflow has all of it, and nothing else."""
    return (
        there is not None
        and there.data.tags.get(WHOLE) == telling.whole
        and all(training.data.tags.get(PARENT) == there.info.run_id for training in trainings)
    )


def by_digest(server: Server) -> "tuple[dict[str, Run], list[Run], dict[str, list[Run]]]":
    """Return MLflow's runs by the digest of ours; those that are of one twice; and the trainings by that digest."""
    runs: dict[str, Run] = {}
    spare: list[Run] = []
    for run in server.runs(MIRRORED):
        if runs.setdefault(run.data.tags.get(RUN, ""), run) is not run:
            spare.append(run)
    trainings: dict[str, list[Run]] = {}
    for run in server.runs(TRAINING):
        trainings.setdefault(run.data.tags.get(RUN, ""), []).append(run)
    return runs, spare, trainings


def _agree(there: "Run", telling: Telling) -> bool:
    """Return whether what MLflow has of parameters, which may be a part of them, is among those told now."""
    return there.data.params.items() <= telling.params.items()


def _metrics(kept: KeptRun) -> dict[str, float]:
    evidence = kept.evidence
    intervals = {"headline": evidence.headline, **evidence.metrics}
    values: dict[str, float] = {
        "chance": evidence.chance,
        "majority_rate": evidence.majority_rate,
        "p_value": evidence.p_value,
        "p_value_by_itself": evidence.null.p_value,
        "recordings": evidence.recordings,
        "donors": evidence.donors,
        "calibration_slope": evidence.calibration.slope.value,
    }
    for name, interval in intervals.items():
        values |= {name: interval.value, f"{name}.low": interval.low, f"{name}.high": interval.high}
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def _times(kept: KeptRun) -> tuple[int, int]:
    """Return when the first fold began and the last ended, in milliseconds since 1970."""
    spans = []
    for folder in sorted(kept.folder.glob("fold-*")):
        said = read_provenance(folder)
        started = datetime.fromisoformat(said["started_at"]).timestamp()
        spans.append((started, started + float(said.get("seconds", 0))))
    return round(1000 * min(start for start, _ in spans)), round(1000 * max(end for _, end in spans))


def _now_ms() -> int:
    return round(1000 * datetime.now().astimezone().timestamp())
