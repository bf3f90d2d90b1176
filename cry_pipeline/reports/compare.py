"""Any two runs side by side, of now and of before, and any two feature sets: with the paired test.

Belongs here: which runs the page offers, its table, and filling its template. Does not: the comparisons
(evaluation/pairs.py), and how one is chosen and shown (``templates/compare.js``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from cry_pipeline.evaluation.findings import LOWER_IS_BETTER, SIGNIFICANCE, SMALLEST_DIFFERENCE, Comparison
from cry_pipeline.evaluation.kept_runs import Change, KeptRun, changes, facts
from cry_pipeline.evaluation.pairs import FeatureSetPair, Group, Pair, edits, feature_set_pairs, group_runs
from cry_pipeline.evaluation.records import METRIC_NAMES
from cry_pipeline.reports.leaderboard import arrange
from cry_pipeline.reports.material import Kept
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.rows import difference_columns
from cry_pipeline.reports.schemas import PAIRS

EARLIER = 3
"""Earlier runs of an experiment that the page offers; the command finds all that are kept."""
DECIMALS = 6
"""Of numbers in the page's data; three are shown."""


@dataclass(frozen=True)
class Compared:
    """What page and table show.

    Attributes:
        groups: of runs that can be compared, each with two or more.
        now: digests of the runs of now.
        edited: runs of now beside those before them.
        feature_sets: every two that were heard by the same models.
        facts: what each run is made from, by its name with its digest.
    """

    groups: Sequence[Group]
    now: frozenset[str]
    edited: Sequence[Pair]
    feature_sets: Sequence[FeatureSetPair]
    facts: Mapping[str, Mapping[str, str]]

    def name(self, run: KeptRun) -> str:
        """Return what a run is called: as its experiment if it is that of now."""
        return run.experiment if run.digest in self.now else run.name

    def feature_set(self, digest: str) -> str:
        """Return what a feature set is called: as in the catalog if it is that of now, else with its digest."""
        runs = [run for group in self.groups for run in group.runs if run.evidence.provenance.feature_digest == digest]
        names = sorted({run.evidence.provenance.feature_set for run in runs if run.digest in self.now})
        return ", ".join(names) or f"{runs[0].evidence.provenance.feature_set}@{digest[:8]}"

    def changes(self, first: KeptRun, second: KeptRun) -> list[Change]:
        """Return what two runs do not share."""
        return changes(self.facts[first.name], self.facts[second.name])


def compared(material: Material) -> Compared:
    """Return all that can be compared, with the differences."""
    kept, now = kept_of(material), _now(material)
    # In the leaderboard's order, those of before behind that of now.
    order = {result.provenance.experiment: place for place, result in enumerate(arrange(material.evidence))}
    runs = sorted(kept.runs, key=lambda run: order.get(run.experiment, len(order)))
    groups = [group for group in group_runs(runs) if len(group.runs) > 1]
    return Compared(
        groups,
        now,
        edits(groups, now),
        feature_set_pairs(groups, now),
        {
            run.name: facts(run, kept.parameters.get(run.evidence.provenance.feature_digest))
            for group in groups
            for run in group.runs
        },
    )


def kept_of(material: Material) -> Kept:
    """Return the runs that there are to compare.

    Raises:
        ValueError: nobody looked for them.
    """
    if material.kept is None:
        raise ValueError("the report of comparisons needs the runs that are kept: give its Material `kept`")
    return material.kept


def compare_inputs(material: Material) -> dict[str, Any]:
    """Return which runs and evidence the page is made of, as they enter its key."""
    kept = kept_of(material)
    return {
        "runs": [[run.evidence.standing, run.started_at] for run in kept.runs],
        "now": sorted(_now(material)),
        "parameters": sorted(digest for digest, known in kept.parameters.items() if known is not None),
    }


def compare_page(content: Compared, *, synthetic: bool = False) -> dict[str, Any]:
    """Return what the page shows; ``data`` is all that its script chooses from."""
    return {
        "synthetic": synthetic,
        "edited": [(pair, content.changes(pair.first, pair.second)) for pair in content.edited],
        "feature_sets": [
            (content.feature_set(two.first), content.feature_set(two.second), two.pairs) for two in content.feature_sets
        ],
        "data": {
            "groups": [_group(group, content) for group in content.groups],
            "smallest": SMALLEST_DIFFERENCE,
            "significance": SIGNIFICANCE,
        },
        "metric_names": METRIC_NAMES,
        "smallest": SMALLEST_DIFFERENCE,
        "earlier": EARLIER,
    }


def compare_rows(content: Compared) -> list[dict[str, Any]]:
    """Return a row for every two runs that can be compared, in the headline metric; two of one experiment first."""
    pairs = [(group, *pair) for group in content.groups for pair in combinations(range(len(group.runs)), 2)]
    pairs.sort(key=lambda pair: pair[0].runs[pair[1]].experiment != pair[0].runs[pair[2]].experiment)
    return [_row(group, first, second, content) for group, first, second in pairs]


def _now(material: Material) -> frozenset[str]:
    return frozenset(result.provenance.run_digest for result in material.evidence)


def _group(group: Group, content: Compared) -> dict[str, Any]:
    """Return a group as JSON types: pairs (first, second) in the order of ``combinations``, the others follow."""
    evidence, size = group.runs[0].evidence, len(group.runs)
    of = evidence.provenance
    seeds = {run.evidence.provenance.seed for run in group.runs}
    return {
        "name": f"{of.cohort}, {of.protocol.replace('_', ' ')}",
        "recordings": evidence.recordings,
        "donors": evidence.donors,
        "chance": evidence.chance,
        "majority": evidence.majority_rate,
        "honest": of.keeps_donors_apart,
        "metrics": [
            {"name": METRIC_NAMES[metric], "lower": metric in LOWER_IS_BETTER, "accuracy": metric == "accuracy"}
            for metric in group.draws
        ],
        "runs": [_run(run, group, content, seeds=len(seeds) > 1) for run in group.runs],
        "pairs": [
            {
                "numbers": [_numbers(group.comparison(first, second, metric)) for metric in group.draws],
                "changes": [list(change) for change in content.changes(group.runs[first], group.runs[second])],
            }
            for first, second in combinations(range(size), 2)
        ],
        "holm": [[_rounded(one.p_adjusted or 0.0) for one in group.against_all(first)] for first in range(size)],
    }


def _run(run: KeptRun, group: Group, content: Compared, *, seeds: bool) -> dict[str, Any]:
    evidence, of = run.evidence, run.evidence.provenance
    is_now = run.digest in content.now
    label = f"{of.model}, {of.feature_set}" + (f", seed {of.seed}" if seeds else "")
    return {
        "name": content.name(run),
        "label": label + ("" if is_now else f" (earlier run {run.digest[:8]}, {run.started_at[:10]})"),
        "experiment": run.experiment,
        "now": is_now,
        "digest": run.digest[:16],
        "guesses": evidence.guesses,
        "trained": run.started_at[:16].replace("T", " "),
        "verdict": evidence.verdict if is_now else f"{evidence.verdict}, by itself",
        "values": [[_rounded(value) for value in _interval(run, metric)] for metric in group.draws],
    }


def _interval(run: KeptRun, metric: str) -> tuple[float, float, float]:
    at = run.evidence.metrics[metric]
    return at.value, at.low, at.high


def _numbers(found: Comparison) -> list[float]:
    return [_rounded(value) for value in (found.difference, found.low, found.high, found.p_value)]


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


def _row(group: Group, first: int, second: int, content: Compared) -> dict[str, Any]:
    found, one, other = group.comparison(first, second), group.runs[first], group.runs[second]
    return {
        "cohort": one.evidence.provenance.cohort,
        "protocol": one.evidence.provenance.protocol,
        "first": content.name(one),
        "second": content.name(other),
        "first_run": one.digest,
        "second_run": other.digest,
        "metric": found.metric,
        **{name: value for name, value in difference_columns(found).items() if name != "p_adjusted"},
    }


COMPARE = Report(
    name="compare",
    stage="compare",
    file="compare",
    title="Compare two runs",
    description="Any two runs on the same folds, also those that a parameter of before made, and any two feature sets, "
    "with the paired test.",
    inputs=compare_inputs,
    reads=("evidence", "kept"),
    content=compared,
    schema=PAIRS,
    rows=compare_rows,
    page=lambda content, material: compare_page(content, synthetic=material.synthetic),
    glance=("first", "second", "change", "p_value", "metric", "cohort", "protocol"),
)
