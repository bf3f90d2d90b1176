"""Which results nobody needs any more: runs, evidence and bundles of parameters and recordings of before.

Belongs here: what is needed, and the removal of what is not. Does not: the feature store's parts (features/garbage.py),
nor Dagster's records (dagster_home.py).

Needed is what the catalog's experiments are shown by: their evidence as folds and parameters of now make it, what was
materialized last, and the newest there is; what the champion or any entry of its history was made of; the runs behind
such evidence; and all that was written a short while ago. Of each experiment the run before that of now stays, too,
with its evidence, for as long as the two can be compared: a parameter was edited in place, on the same folds. The
features of such a run do not stay for its sake: a comparison needs its predictions only.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.found import find_evidence
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from cry_pipeline.evaluation.records import Evidence

LOG = logging.getLogger("cry_pipeline")
DIGITS = 16
"""Of a digest, in a folder's name."""
BEING_REMOVED = ".being-removed"
DATA_VERSION_TAG = "dagster/data_version"


@dataclass
class Needed:
    """Folders that stay: of runs, nulls and evidence as ``(experiment, digest)``, of bundles as digests."""

    runs: set[tuple[str, str]] = field(default_factory=set)
    nulls: set[tuple[str, str]] = field(default_factory=set)
    evidence: set[tuple[str, str]] = field(default_factory=set)
    bundles: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    """Experiments whose evidence is damaged, so that nobody knows which of their runs it rests on: all stay."""
    compared: set[tuple[str, str]] = field(default_factory=set)
    """Runs that nothing needs but a comparison with what is there now."""

    def run(self, experiment: str, digest: str) -> None:
        """Keep a run."""
        self.runs.add((experiment, digest[:DIGITS]))

    def behind(self, evidence: "Evidence") -> None:
        """Keep the runs that ``evidence`` rests on, and its null."""
        provenance = evidence.provenance
        self.nulls.add((provenance.experiment, provenance.null[:DIGITS]))
        for experiment, digest in [(provenance.experiment, provenance.run_digest), *provenance.shortcuts.values()]:
            self.run(experiment, digest)


def needed(catalog: Catalog, workspace: Workspace, instance: dg.DagsterInstance) -> Needed:
    """Return what has to stay however old it is.

    Raises:
        ChampionError: the champion's history cannot be read, so that it is not known what it needs.
    """
    from cry_pipeline.evaluation.evidence import read_evidence
    from cry_pipeline.evaluation.predictions import EvidenceError
    from cry_pipeline.inference.champions import history

    settings, kept = workspace.settings, Needed()
    now = find_evidence(catalog, workspace).evidence
    for evidence in now:
        kept.evidence.add((evidence.provenance.experiment, evidence.digest[:DIGITS]))
    for name in catalog.experiments:
        kept.evidence |= {(name, digest) for digest in _latest(settings.evidence, name, instance)}
        kept.runs |= {(name, digest) for digest in _latest(settings.runs, name, instance)}
    for event in history(settings.models):
        kept.bundles.add(event.digest[:DIGITS])
        for made_of in event.runs.values():
            kept.run(made_of["experiment"], made_of["run"])
    for name, digest in sorted(kept.evidence):
        folder = settings.evidence / name / digest
        if not folder.is_dir():
            continue
        try:
            kept.behind(read_evidence(folder))
        except (EvidenceError, DamagedFileError) as error:
            LOG.warning("%s; all runs of %s are kept until it is made again", error, name)
            kept.unknown.add(name)
    _keep_compared(kept, now, settings)
    return kept


def _keep_compared(kept: Needed, now: "Sequence[Evidence]", settings: Settings) -> None:
    """Keep the run before each of those of ``now``, with its evidence."""
    from cry_pipeline.evaluation.kept_runs import before, kept_runs

    for evidence in now:
        name, current = evidence.provenance.experiment, evidence.provenance.run_digest
        there = kept_runs(name, settings.evidence, settings.runs)
        earlier = next((before(run, there) for run in there if run.digest == current), None)
        if earlier is not None:
            kept.compared.add((name, earlier.digest[:DIGITS]))
            kept.evidence.add((name, earlier.evidence.digest[:DIGITS]))


def _latest(root: Path, experiment: str, instance: dg.DagsterInstance) -> Iterator[str]:
    """Yield what Dagster says was materialized last, and what is newest on disk: either may know more."""
    event = instance.get_latest_materialization_event(dg.AssetKey([root.name, experiment]))
    if event is not None and event.asset_materialization is not None:
        yield (event.asset_materialization.tags or {}).get(DATA_VERSION_TAG, "")[:DIGITS]
    there = sorted(_folders(root / experiment), key=_written_at)
    yield from (path.name for path in there[-1:])


def unneeded(settings: Settings, kept: Needed, older_than_s: float) -> list[Path]:
    """Return the folders of runs, nulls, evidence and bundles that are not in ``kept``, nor written to of late."""
    candidates = []
    stay = {settings.runs: kept.runs | kept.compared, settings.nulls: kept.nulls, settings.evidence: kept.evidence}
    for root, names in stay.items():
        for experiment in _folders(root):
            if root == settings.evidence or experiment.name not in kept.unknown:
                candidates += [path for path in _folders(experiment) if (experiment.name, path.name) not in names]
    candidates += [path for path in _folders(settings.models / "champions") if path.name not in kept.bundles]
    return sorted(path for path in candidates if _is_old(path, older_than_s))


def without_features(settings: Settings, kept: Needed, older_than_s: float) -> set[str]:
    """Return the runs, as ``<experiment>/<run>``, that stay for comparisons only and were not written to of late."""
    names = [f"{name}/{digest}" for name, digest in kept.compared - kept.runs if name not in kept.unknown]
    return {name for name in names if _is_old(settings.runs / name, older_than_s)}


def remove(settings: Settings, folders: list[Path]) -> None:
    """Remove ``folders``, each under another name first: a killed removal leaves none that looks whole."""
    for path in folders:
        path.rename(path.with_name(f".{path.name}{BEING_REMOVED}"))
        LOG.info("removing %s", path.relative_to(settings.data))
    for root in (settings.runs, settings.nulls, settings.evidence, settings.models):
        for path in list(root.glob(f"*/.*{BEING_REMOVED}")):
            shutil.rmtree(path)
        for parent in _folders(root):
            if not any(parent.iterdir()):
                parent.rmdir()


def size(path: Path) -> int:
    """Return the bytes of all files below ``path``."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _is_old(path: Path, seconds: float) -> bool:
    return time.time() - _written_at(path) >= seconds


def _written_at(path: Path) -> float:
    """Return when anything in ``path`` was written last, in seconds since 1970."""
    inside = (os.stat(Path(parent, name)) for parent, _, names in os.walk(path) for name in names)  # noqa: PTH116
    return max((status.st_mtime for status in inside), default=path.stat().st_mtime)
