"""The leaderboard: all evidence side by side, as a table and as a page that stands alone.

Belongs here: the order of experiments, the table, and filling the page's template. Does not: computing
evidence (evidence.py) or drawing it (figures/intervals.py); the page's words and looks are in ``templates/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import read_table, write_html, write_table
from cry_pipeline.evaluation.evidence import EvidenceError
from cry_pipeline.evaluation.records import HONEST, METRIC_NAMES, Evidence
from cry_pipeline.reports.figures import intervals as plots
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import fill, kept_table, picture

STAGE = "leaderboard"
PAGE, TABLE = "leaderboard.html", "leaderboard.parquet"
NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})
NO_TWIN = "no donor-grouped twin: run one before quoting this"


@dataclass(frozen=True)
class Report:
    """A leaderboard on disk: digest of the evidence in it, table, page, and whether it was there and current."""

    digest: str
    table: pd.DataFrame
    page: Path
    reused: bool


@dataclass(frozen=True)
class Entry:
    """One experiment of the page: its evidence, and the donor-grouped twin of a clip-level one."""

    evidence: Evidence
    twin: str


def arrange(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return ``evidence`` in the order of the leaderboard.

    Cohorts by name; in a cohort the best donor-grouped headline first. Experiments that differ in their
    protocol only stand together, the donor-grouped one first, then others that keep donors apart. Those without a
    donor-grouped one come last.
    """
    best: dict[tuple, float] = {}
    for found in evidence:
        if _is_honest(found):
            best[_kin(found)] = max(found.headline.value, best.get(_kin(found), 0.0))

    def place(found: Evidence) -> tuple:
        kin, of = _kin(found), found.provenance
        return of.cohort, -best.get(kin, -1.0), kin, not _is_honest(found), not of.grouped, of.protocol, of.experiment

    return sorted(evidence, key=place)


def leaderboard(evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return one row per experiment, in the order of :func:`arrange`.

    Columns: experiment, cohort, target, feature_set, model, protocol, seed; recordings, donors; metric (the
    headline metric's key), value, low, high (its 95 % interval), chance, p_value (labels dealt between donors at
    random), verdict, qualification (empty unless donors are on both sides), twin (the donor-grouped experiment that
    a clip-level one is to be read with, or that there is none; empty for donor-grouped ones); accuracy,
    majority_rate; uar, macro_f1, auc; resamples_lost, synthetic, run_digest, digest.

    Raises:
        EvidenceError: an experiment comes more than once.
    """
    _check(evidence)
    read_with = twins(evidence)
    rows = [_row(found, read_with[found.provenance.experiment]) for found in arrange(evidence)]
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    *("experiment", "cohort", "target", "feature_set", "model", "protocol", "seed", "recordings", "donors", "metric"),
    *("value", "low", "high", "chance", "p_value", "verdict", "qualification", "twin", "accuracy", "majority_rate"),
    *("uar", "macro_f1", "auc", "resamples_lost", "synthetic", "run_digest", "digest"),
]


def leaderboard_html(
    evidence: Sequence[Evidence], not_run: Mapping[str, str] = NOTHING_ELSE, title: str = "Leaderboard"
) -> str:
    """Return a self-contained page: tables, a figure for light and dark, provenance, and how to read it all.

    ``not_run`` are the experiments of the catalog that there is no evidence of, and why; the page lists them.
    Equal evidence gives an equal page. A page with any generated recordings says so first thing in its title.

    Raises:
        EvidenceError: an experiment comes more than once.
    """
    _check(evidence)
    arranged, read_with = arrange(evidence), twins(evidence)
    entries = [Entry(found, read_with[found.provenance.experiment]) for found in arranged]
    words = "Headline metric of every experiment with its 95 % interval; the tables above hold the same numbers."
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title=title,
        not_run=not_run,
        synthetic=any(found.synthetic for found in evidence),
        cohorts=[
            (name, list(group)) for name, group in groupby(entries, lambda entry: entry.evidence.provenance.cohort)
        ],
        overview=picture(lambda theme: plots.intervals(arranged, theme), words) if arranged else None,
        metric_names=METRIC_NAMES,
        no_twin=NO_TWIN,
    )


def write_leaderboard(evidence: Sequence[Evidence], folder: Path, not_run: Mapping[str, str] = NOTHING_ELSE) -> Report:
    """Write ``leaderboard.html`` and ``.parquet`` to ``folder``, each atomically, unless they are current.

    ``not_run`` are the experiments that there is no evidence of, and why.
    """
    table, page = leaderboard(evidence), folder / PAGE
    inputs = {"evidence": sorted(found.digest for found in evidence), "not_run": dict(not_run)}
    key = keys.key(STAGE, page_spec(STAGE), inputs)
    reused = kept_table(page, folder / TABLE, key) is not None
    if not reused:
        write_html(page, leaderboard_html(evidence, not_run), key)
        write_table(folder / TABLE, table, key)
    return Report(key, table, page, reused)


def read_leaderboard(folder: Path) -> pd.DataFrame:
    """Return the table that :func:`write_leaderboard` wrote to ``folder``.

    Raises:
        EvidenceError: nothing has been evaluated yet.
    """
    if not (folder / TABLE).exists():
        raise EvidenceError(f"There is no leaderboard in {folder}: materialize it with `cry-pipeline run`.")
    table = read_table(folder / TABLE)
    if table.empty:
        raise EvidenceError("Nothing has been evaluated yet: materialize evidence with `cry-pipeline run`.")
    return table


def _check(evidence: Sequence[Evidence]) -> None:
    names = [found.provenance.experiment for found in evidence]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise EvidenceError(f"Evidence comes more than once for {', '.join(repeated)}; report the latest run of each.")


def _kin(found: Evidence) -> tuple[str, str, str, int]:
    """Return what experiments share that differ in their protocol only."""
    of = found.provenance
    return of.cohort, of.model, of.feature_set, of.seed


def _is_honest(found: Evidence) -> bool:
    return found.provenance.protocol_kind == HONEST


def twins(evidence: Sequence[Evidence]) -> dict[str, str]:
    """Return, by experiment, the donor-grouped twin of each clip-level experiment, and "" for those that need none.

    A temporal run keeps donors apart, too, but tests only the last of them: it is no twin. Of several donor-grouped
    ones it is that of the most repeats, as on the leakage ladder.
    """
    honest = sorted(filter(_is_honest, evidence), key=lambda found: (-found.repeats, found.provenance.experiment))
    first: dict[tuple, str] = {}
    for found in honest:
        first.setdefault(_kin(found), found.provenance.experiment)
    return {
        found.provenance.experiment: "" if found.provenance.grouped else first.get(_kin(found), NO_TWIN)
        for found in evidence
    }


def _row(found: Evidence, twin: str) -> dict[str, str | int | float | bool]:
    of, at = found.provenance, found.headline
    return {
        "experiment": of.experiment,
        "cohort": of.cohort,
        "target": found.target,
        "feature_set": of.feature_set,
        "model": of.model,
        "protocol": of.protocol,
        "seed": of.seed,
        "recordings": found.recordings,
        "donors": found.donors,
        "metric": found.headline_metric,
        "value": at.value,
        "low": at.low,
        "high": at.high,
        "chance": found.chance,
        "p_value": found.null.p_value,
        "verdict": found.verdict,
        "qualification": found.qualification or "",
        "twin": twin,
        "accuracy": found.metrics["accuracy"].value,
        "majority_rate": found.majority_rate,
        **{name: found.metrics[name].value for name in ("uar", "macro_f1", "auc")},
        "resamples_lost": found.resamples_lost,
        "synthetic": found.synthetic,
        "run_digest": of.run_digest,
        "digest": found.digest,
    }
