"""The leaderboard: all evidence side by side, as a table and as a page that stands alone.

Belongs here: the order of experiments, the table, and filling the page's template. Does not: computing
evidence (evidence.py) or drawing it (figures/intervals.py); the page's words and looks are in ``templates/``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from cry_pipeline.evaluation.findings import LEVEL
from cry_pipeline.evaluation.predictions import EvidenceError
from cry_pipeline.evaluation.records import HONEST, METRIC_NAMES, Evidence
from cry_pipeline.reports import schemas
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Report
from cry_pipeline.reports.rows import accuracy_columns, headline_columns

Item = TypeVar("Item")
SHOWN = 12
"""Experiments of a cohort in a picture of the UI: the event log is never pruned, and the page shows all."""
NO_TWIN = "no donor-grouped twin: run one before quoting this"


@dataclass(frozen=True)
class Entry:
    """One experiment of the page: its evidence, and the donor-grouped twin of a clip-level one."""

    evidence: Evidence
    twin: str

    @property
    def cohort(self) -> str:
        """The name of its cohort."""
        return self.evidence.provenance.cohort


def arrange(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return ``evidence`` in the order of the leaderboard.

    Cohorts by name; in a cohort the best donor-grouped headline first. Experiments that differ in their
    protocol only stand together, the donor-grouped one first, then others that keep donors apart. Those without a
    donor-grouped one come last.
    """
    best: dict[tuple, float] = {}
    for result in evidence:
        if _is_honest(result):
            best[_kin(result)] = max(result.headline.value, best.get(_kin(result), 0.0))

    def place(result: Evidence) -> tuple:
        kin, run = _kin(result), result.provenance
        honesty = not _is_honest(result), not run.keeps_donors_apart
        return run.cohort, -best.get(kin, -1.0), kin, *honesty, run.protocol, run.experiment

    return sorted(evidence, key=place)


def entries_of(evidence: Sequence[Evidence]) -> list[Entry]:
    """Return ``evidence`` in the order of :func:`arrange`, each with what it is read with.

    Raises:
        EvidenceError: an experiment comes more than once.
    """
    names = [result.provenance.experiment for result in evidence]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise EvidenceError(f"Evidence comes more than once for {', '.join(repeated)}; report the latest run of each.")
    read_with = twins(evidence)
    return [Entry(result, read_with[result.provenance.experiment]) for result in arrange(evidence)]


def leaderboard_page(entries: Sequence[Entry], not_run: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows: tables, a figure, provenance.

    ``not_run`` are the experiments of the catalog that there is no evidence of, and why; the page lists them.
    """
    evidence = [entry.evidence for entry in entries]
    return {
        "not_run": not_run,
        "synthetic": any(result.synthetic for result in evidence),
        "entries": entries,
        "cohorts": [
            (name, by_kin(group, lambda entry: entry.evidence))
            for name, group in groupby(entries, lambda entry: entry.cohort)
        ],
        "cohort_tried": tried_of(evidence),
        "level": LEVEL,
        "overview": _overview(evidence) if entries else None,
        "metric_names": METRIC_NAMES,
        "no_twin": NO_TWIN,
    }


def tried_of(evidence: Iterable[Evidence]) -> dict[str, int]:
    """Return, by cohort, in how many experiments models listened and were tested on donors not trained on."""
    apart = (result for result in evidence if result.provenance.keeps_donors_apart)
    return {cohort: max(found.tried for found in group) for cohort, group in _by_cohort(apart).items()}


def _by_cohort(evidence: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    groups: dict[str, list[Evidence]] = {}
    for result in evidence:
        groups.setdefault(result.provenance.cohort, []).append(result)
    return groups


def by_kin(arranged: Iterable[Item], evidence: Callable[[Item], Evidence]) -> list[list[Item]]:
    """Return what :func:`arrange` has put in order in groups that differ in their protocol only: they stay together."""
    return [list(group) for _, group in groupby(arranged, lambda item: _kin(evidence(item)))]


def headline_plots(entries: Sequence[Entry]) -> dict[str, bytes]:
    """Return a picture of each cohort's first experiments, small enough for the UI."""
    from cry_pipeline.reports.figures.intervals import intervals

    return {
        f"headline, {cohort}": intervals([entry.evidence for entry in group][:SHOWN])
        for cohort, group in groupby(entries, lambda entry: entry.cohort)
    }


def read_leaderboard(folder: Path) -> pd.DataFrame:
    """Return the leaderboard's table in the folder of reports.

    Raises:
        EvidenceError: nothing has been evaluated yet.
        TableError: it is not what its schema says.
    """
    path = LEADERBOARD.table_path(folder)
    if not path.exists():
        raise EvidenceError(f"There is no leaderboard in {folder}: materialize it with `cry-pipeline run`.")
    table = schemas.LEADERBOARD.read(path)
    if table.empty:
        raise EvidenceError("Nothing has been evaluated yet: materialize evidence with `cry-pipeline run`.")
    return table


def _kin(result: Evidence) -> tuple[str, str, str, int]:
    """Return what experiments share that differ in their protocol only."""
    run = result.provenance
    return run.cohort, run.model, run.feature_set, run.seed


def _is_honest(result: Evidence) -> bool:
    return result.provenance.protocol_kind in HONEST


def twins(evidence: Sequence[Evidence]) -> dict[str, str]:
    """Return, by experiment, the donor-grouped twin of each clip-level experiment, and "" for those that need none.

    A temporal run keeps donors apart, too, but tests only the last of them: it is no twin. Of several donor-grouped
    ones it is that of the most repeats, as on the leakage ladder.
    """
    honest = sorted(filter(_is_honest, evidence), key=lambda result: (-result.repeats, result.provenance.experiment))
    first: dict[tuple, str] = {}
    for result in honest:
        first.setdefault(_kin(result), result.provenance.experiment)
    return {
        result.provenance.experiment: "" if result.provenance.keeps_donors_apart else first.get(_kin(result), NO_TWIN)
        for result in evidence
    }


def _overview(evidence: Sequence[Evidence]) -> Picture:
    from cry_pipeline.reports.figures import intervals as plots

    words = "Headline metric of every experiment with its 95 % interval; the tables above hold the same numbers."
    return picture(
        lambda theme: plots.intervals(evidence, theme),
        words,
        lambda theme: plots.intervals(evidence, theme, narrow=True),
    )


def _row(result: Evidence, twin: str) -> dict[str, Any]:
    run = result.provenance
    row = {
        "experiment": run.experiment,
        "cohort": run.cohort,
        "target": result.target,
        "feature_set": run.feature_set,
        "model": run.model,
        "protocol": run.protocol,
        "seed": run.seed,
        "recordings": result.recordings,
        "donors": result.donors,
        "p_value": result.null.p_value,
        "p_adjusted": result.p_value,
        "tried": result.tried,
        "qualification": result.qualification or "",
        "twin": twin,
        **{name: result.metrics[name].value for name in ("uar", "macro_f1", "auc")},
        "resamples_lost": result.resamples_lost,
        "synthetic": result.synthetic,
        "run_digest": run.run_digest,
        "digest": result.digest,
    }
    return row | headline_columns(result) | accuracy_columns(result)


LEADERBOARD = Report(
    name="leaderboard",
    stage="leaderboard",
    file="leaderboard",
    title="Leaderboard",
    description="Evidence of all experiments; accuracy stands beside the majority rate, a clip-level result beside its "
    "donor-grouped twin.",
    inputs=lambda material: {"evidence": material.digests, "not_run": dict(material.not_run)},
    content=lambda material: entries_of(material.evidence),
    schema=schemas.LEADERBOARD,
    rows=lambda entries: [_row(entry.evidence, entry.twin) for entry in entries],
    page=lambda entries, material: leaderboard_page(entries, material.not_run),
    plots=headline_plots,
    beside=lambda material: {"not_run": dict(material.not_run)},
    glance=(
        *("model", "score", "verdict", "cohort", "protocol", "feature_set", "p_adjusted"),
        *("accuracy", "majority_rate"),
    ),
)
