"""The `cry-pipeline compare` command.

Belongs here: what is compared with what, as tables and sentences in the terminal. Does not: comparisons (evaluation),
nor anything heavy at import.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, named, print_table, say, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cry_pipeline.catalog import Catalog
    from cry_pipeline.evaluation.findings import Comparison, Interval
    from cry_pipeline.evaluation.kept_runs import KeptRun
    from cry_pipeline.evaluation.pairs import Pair
    from cry_pipeline.settings import Settings


def comparable_names() -> list[str]:
    """Return what a shell may complete a name to."""
    known = catalog(settings(refresh=False).catalog)
    return [*sorted(known.experiments), *sorted(known.feature_sets)]


def compare(
    first: Annotated[
        str,
        typer.Argument(
            help="An experiment or a feature set of the catalog, or an earlier one.", autocompletion=comparable_names
        ),
    ],
    second: Annotated[
        str | None,
        typer.Argument(help="Another of the kind; unset: what FIRST was before.", autocompletion=comparable_names),
    ] = None,
) -> None:
    """Compare two runs, or two feature sets, by the paired test over donors.

    What a parameter of before made is called NAME@before, or NAME@ and the beginning of the digest of run or feature
    set. Runs need the same recordings and folds.
    """
    where = settings()
    known = catalog(where.catalog)
    name, is_earlier, _ = first.partition("@")
    second = second or (name if is_earlier else f"{name}@before")
    if name in known.feature_sets and name not in known.experiments:
        _compare_feature_sets(first, second, known, where)
    else:
        _compare_runs(first, second, known, where)


def _compare_runs(first: str, second: str, known: "Catalog", where: "Settings") -> None:
    from cry_pipeline.evaluation.findings import LOWER_IS_BETTER
    from cry_pipeline.evaluation.kept_runs import changes, facts, find_run
    from cry_pipeline.evaluation.pairs import Pair, compare_runs
    from cry_pipeline.evaluation.records import METRIC_NAMES
    from cry_pipeline.evaluation.trainings import intervals_hold
    from cry_pipeline.features.store.store import described

    runs = [find_run(called, known.experiments, where.evidence, where.runs) for called in (first, second)]
    group = compare_runs(*runs)
    _say_what(runs)
    rows = []
    for metric in group.draws:
        of_first, of_second = (f"{run.evidence.metrics[metric].value:.3f}" for run in runs)
        rows.append(
            {
                "metric": METRIC_NAMES[metric] + (" (less is better)" if metric in LOWER_IS_BETTER else ""),
                "first": of_first,
                "second": of_second,
                "first - second [95 % interval]": _difference(group.comparison(0, 1, metric)),
            }
        )
    print_table(rows)
    say(f"accuracy of always giving the most frequent class: {runs[0].evidence.majority_rate:.3f}")
    say(_sentence(Pair(runs[0], runs[1], group.comparison(0, 1))))
    say(intervals_hold(runs[0].evidence.repeats))
    known_of = [facts(run, described(where.features, run.evidence.provenance.feature_digest)) for run in runs]
    differing = changes(*known_of)
    if differing:
        print_table([{"what differs": one.what, "first": one.first, "second": one.second} for one in differing])
    else:
        say("Both are made from the same parameters, code and libraries.")


def _compare_feature_sets(first: str, second: str, known: "Catalog", where: "Settings") -> None:
    from cry_pipeline.evaluation.kept_runs import comparable, current_runs
    from cry_pipeline.evaluation.pairs import feature_set_pair, group_runs
    from cry_pipeline.evaluation.predictions import EvidenceError
    from cry_pipeline.evaluation.records import METRIC_NAMES

    current = [run.evidence for run in current_runs(known.experiments, where.evidence, where.runs)]
    runs = comparable(current, known.experiments, where.evidence, where.runs)
    sets = _feature_set(first, known, runs), _feature_set(second, known, runs)
    used = [run for run in runs if run.evidence.provenance.feature_digest in sets]
    now = {evidence.provenance.run_digest for evidence in current}
    pairs = feature_set_pair(group_runs(used), *sets, now).pairs
    if not pairs:
        raise EvidenceError(
            f"No model was run with both {first} and {second} on the same folds; an experiment in experiments.yaml for "
            "each, alike but for the feature set, makes such a pair."
        )
    rows = []
    for pair in pairs:
        of, found = pair.first.evidence.provenance, pair.comparison
        rows.append(
            {
                "cohort, folds": f"{of.cohort}, {of.protocol}",
                "model": of.model + (f", seed {of.seed}" if of.seed else ""),
                "metric": METRIC_NAMES[found.metric],
                "first": _interval(pair.first.evidence.headline),
                "second": _interval(pair.second.evidence.headline),
                "first - second": _difference(found),
                "p, Holm": f"{found.p_value:.3f}, {found.p_adjusted:.3f}",
                "result": pair.kept_back or (f"first is {found.shown}" if found.shown else "no difference shown"),
            }
        )
    print_table(rows, title=f"{first} and {second}")


def _feature_set(called: str, known: "Catalog", runs: "Sequence[KeptRun]") -> str:
    """Return the digest of the feature set that ``called`` means, of those that ``runs`` heard."""
    from cry_pipeline.evaluation.kept_runs import BEFORE, DIGITS
    from cry_pipeline.evaluation.predictions import EvidenceError
    from cry_pipeline.features.kinds import feature_set_digest

    name, at, which = called.partition("@")
    now = feature_set_digest(named(name, known.feature_sets, "feature set"))
    latest = sorted(runs, key=lambda run: run.started_at, reverse=True)
    heard = [run.evidence.provenance for run in latest if run.hears and run.evidence.provenance.feature_set == name]
    digests = list(dict.fromkeys(of.feature_digest for of in heard))
    if not at:
        meant = [now] if now in digests else []
    elif which == BEFORE:
        meant = [digest for digest in digests if digest != now][:1]
    else:
        meant = [digest for digest in digests if which and digest.startswith(which.lower())]
    if len(meant) != 1:
        there = ", ".join(f"{name}@{digest[:DIGITS]}" for digest in digests) or "none"
        raise EvidenceError(
            f"There are no runs with feature set {called} on the folds of now; of {name} there are: {there}."
        )
    return meant[0]


def _say_what(runs: "Sequence[KeptRun]") -> None:
    from cry_pipeline.evaluation.records import METRIC_NAMES

    of = runs[0].evidence
    say(f"{of.provenance.cohort}, {of.provenance.protocol}: {of.recordings} recordings of {of.donors} donors")
    for place, run in zip(("first", "second"), runs, strict=True):
        trained = run.started_at[:16].replace("T", " ")
        say(
            f"{place}: {run.name}, trained {trained} UTC: {METRIC_NAMES[run.evidence.headline_metric]} "
            f"{_interval(run.evidence.headline)}, by itself {run.evidence.verdict}"
        )
    if of.qualification:
        say(of.qualification)


def _interval(at: "Interval") -> str:
    return f"{at.value:.3f} [{at.low:.3f}, {at.high:.3f}]"


def _difference(found: "Comparison") -> str:
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _sentence(pair: "Pair") -> str:
    from cry_pipeline.evaluation.comparisons import holm
    from cry_pipeline.evaluation.records import METRIC_NAMES

    found = pair.comparison
    (alone,) = holm([found])
    words = pair.kept_back or (f"the first run is {alone.shown}" if alone.shown else "no difference is shown")
    return f"{METRIC_NAMES[found.metric]}: {words} (p = {found.p_value:.3f}, if the two were named beforehand)."
