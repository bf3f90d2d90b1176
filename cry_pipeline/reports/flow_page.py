"""From file to test: how many recordings each step takes on, and why it leaves the others out.

Belongs here: counting, from the tables that the steps themselves are made of, and the page. Does not: the rules
(corpus/cohorts.py, corpus/refusals.py), and the page's words and looks (``templates/``).

This is the flow diagram that TRIPOD+AI (item 20a) and STARD ask for. A file is left out once, by the first rule that
does so, and every step's numbers add up to those of the step before; tests stand side by side.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog, CohortSpec
from cry_pipeline.corpus.cohorts import CohortError, left_out, select_cohort
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.reports.material import Stored, StoredSet, Tables
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.words import REFUSED
from cry_pipeline.tables import FILLED, Schema, integer, text

if TYPE_CHECKING:
    import pandas as pd

FLOW = Schema(
    "how many recordings each step from file to test takes on and leaves out",
    {
        "cohort": text("that is asked about", matches=FILLED),
        "step": text("what is left, or left out before it", matches=FILLED),
        "left_out": text("why, where it is left out", nullable=True),
        "recordings": integer("or files, before they are recordings", 0),
        "donors": integer("of them; none of files, whose donor need not be known", 0, nullable=True),
    },
    unique=["cohort", "step", "left_out"],
)


@dataclass(frozen=True)
class Left:
    """What a step leaves out, and why; of files that were refused the donors are not known."""

    why: str
    recordings: int
    donors: int | None = None


@dataclass(frozen=True)
class Step:
    """What is there after a step, and what it left out of what was there before."""

    name: str
    recordings: int
    donors: int | None = None
    left: Sequence[Left] = ()


@dataclass(frozen=True)
class Flow:
    """The way of one cohort: its steps, then the ``tests`` side by side; ``fault`` says why it goes no further."""

    cohort: str
    description: str
    steps: Sequence[Step]
    tests: Sequence[Step] = ()
    fault: str | None = None


class FlowError(ValueError):
    """There is nothing to count; the message says what to do."""


def flows_of(material: Material) -> list[Flow]:
    """Return the way of each cohort of the catalog.

    Raises:
        FlowError: the tables, or what is stored, were not handed in.
    """
    if material.tables is None or material.stored is None:
        raise FlowError("There is no way from file to test to show: hand in the manifest and what is stored.")
    begun = _begun(material.tables)
    return [
        _flow(name, spec, begun, material.tables.recordings, material.stored, _tested(name, material))
        for name, spec in material.catalog.cohorts.items()
    ]


def _begun(tables: Tables) -> list[Step]:
    """Return what is the same for all: the files, and which of them are recordings."""
    recordings, quarantine = tables.recordings, tables.quarantine
    refused = [
        Left(f"refused: {REFUSED[str(why)]}", int(count)) for why, count in quarantine["reason"].value_counts().items()
    ]
    return [
        Step("files", len(recordings) + len(quarantine)),
        Step("recordings in the manifest", len(recordings), recordings["donor"].nunique(), refused),
    ]


def _flow(
    name: str,
    spec: CohortSpec,
    begun: Sequence[Step],
    recordings: "pd.DataFrame",
    stored: Stored,
    tested: Sequence[Evidence],
) -> Flow:
    left = [
        Left(words, count, donors)
        for rule in left_out(recordings, spec)
        for words, count, donors in _words(rule.column, rule.recordings, spec)
    ]
    try:
        cohort = select_cohort(recordings, spec)
    except CohortError as error:
        return Flow(name, spec.description, begun, fault=str(error))
    steps = [*begun, Step(f"cohort {name}", len(cohort), cohort["donor"].nunique(), left)]
    used = [
        features for features in stored.sets if any(each.provenance.feature_set == features.name for each in tested)
    ]
    if used:
        steps.append(_featured(cohort, recordings, used))
    return Flow(name, spec.description, steps, _tests(tested, steps[-1].recordings))


def _featured(cohort: "pd.DataFrame", recordings: "pd.DataFrame", used: Sequence[StoredSet]) -> Step:
    """Return what of a cohort has all features that its experiments use; each is left out once."""
    paths = recordings.set_index("recording_id")["path"]
    rest, left = cohort, []
    for features in used:
        failed = rest["recording_id"].map(paths).isin(list(features.failed))
        if failed.any():
            why = f"no features {features.name} could be made of it"
            left.append(Left(why, int(failed.sum()), rest.loc[failed, "donor"].nunique()))
        rest = rest[~failed]
    return Step("with features", len(rest), rest["donor"].nunique(), left)


def _tests(tested: Sequence[Evidence], before: int) -> list[Step]:
    """Return, for each protocol, what its folds tested of the recordings ``before``; each differing number once."""
    numbers = Counter((each.provenance.protocol, each.recordings, each.donors) for each in tested)
    return [
        Step(
            f"{protocol} ({experiments} {'experiment' if experiments == 1 else 'experiments'})",
            count,
            people,
            [Left("in no fold that is tested", before - count)] if count < before else [],
        )
        for (protocol, count, people), experiments in sorted(numbers.items())
    ]


def _words(column: str, gone: "pd.DataFrame", spec: CohortSpec) -> Iterable[tuple[str, int, int]]:
    """Yield why a rule leaves recordings out, how many, and of how many donors; reasons and sources one by one."""
    if column == "reason":
        for reason, group in gone.groupby(gone["reason"].fillna("none")):
            stated = str(reason).replace("_", " ")
            yield f"reason {stated}: not among those asked about", len(group), group["donor"].nunique()
        return
    if column == "judgement":
        for judged, group in gone.groupby(gone["judgement"].fillna("none")):
            why = "donation that nobody has judged" if judged == "none" else f"donation judged {judged}"
            yield why, len(group), group["donor"].nunique()
        return
    if not len(gone):
        return
    why = {
        "processing": "cleaned copy of an upload" if spec.processing == "raw" else "upload as it came: not cleaned",
        "consent_scope": "donated, but not for training",
        "source": f"from {', '.join(sorted(set(gone['source'])))}",
        "duration_s": f"shorter than {spec.min_duration_s:g} s",
    }[column]
    yield why, len(gone), gone["donor"].nunique()


def _tested(name: str, material: Material) -> list[Evidence]:
    return [evidence for evidence in material.evidence if evidence.provenance.cohort == name]


def flow_page(flows: Sequence[Flow], tables: Tables) -> dict[str, Any]:
    """Return what the page shows."""
    return {"synthetic": tables.synthetic, "flows": flows, "how": tables.how}


def _rows(flows: Sequence[Flow]) -> list[Mapping[str, Any]]:
    rows = []
    for flow in flows:
        tests = [replace(test, name=f"tested, {test.name}") for test in flow.tests]
        for step in [*flow.steps, *tests]:
            about = {"cohort": flow.cohort, "step": step.name}
            rows += [
                about | {"left_out": left.why, "recordings": left.recordings, "donors": left.donors}
                for left in step.left
            ]
            rows.append(about | {"left_out": None, "recordings": step.recordings, "donors": step.donors})
    return rows


def _inputs(material: Material) -> dict[str, Any]:
    tables, stored = material.tables, material.stored
    return {
        "tables": tables.digests if tables else None,
        "failed": {each.name: dict(each.failed) for each in stored.sets} if stored else None,
        "evidence": material.digests,
    }


def _spec(catalog: Catalog) -> dict[str, Any]:
    return {"cohorts": {name: spec.model_dump(mode="json") for name, spec in catalog.cohorts.items()}}


def _page(flows: Sequence[Flow], material: Material) -> dict[str, Any]:
    if material.tables is None:
        raise FlowError("There is no manifest to show: hand it and the quarantine in.")
    return flow_page(flows, material.tables)


FLOW_PAGE = Report(
    name="flow",
    stage="flow_page",
    file="flow",
    title="From file to test",
    description="How many files become recordings, cohorts, features and tests, and why the others are left out.",
    reads=("tables", "stored", "evidence"),
    spec=_spec,
    inputs=_inputs,
    content=flows_of,
    page=_page,
    schema=FLOW,
    rows=_rows,
    glance=("cohort", "step", "left_out", "recordings", "donors"),
)
