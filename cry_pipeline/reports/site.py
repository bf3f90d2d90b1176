"""The site's first page: what was asked, what came out, and the way to every other page.

Belongs here: the overview of all reports. Does not: the reports (their modules), and what pages share (pages.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.records import HONEST, METRIC_NAMES, Evidence
from cry_pipeline.reports.champion_page import refusal_of
from cry_pipeline.reports.leaderboard import arrange, by_kin
from cry_pipeline.reports.material import Champion
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.targets import QUESTIONS


@dataclass(frozen=True)
class Answer:
    """What the best donor-grouped run of a cohort says, of the models that listen; ``above`` of these are above chance.

    How many were tried, the run itself says (:attr:`.Evidence.tried`): its verdict takes them into account.
    """

    cohort: str
    description: str
    question: str
    found: Evidence
    above: int


def answers(catalog: Catalog, evidence: Sequence[Evidence]) -> list[Answer]:
    """Return, for each cohort with a donor-grouped run, its question and what the best such run says.

    What can be answered comes first.
    """
    made = []
    for cohort, group in groupby(arrange(evidence), lambda result: result.provenance.cohort):
        honest = [result for result in group if result.provenance.protocol_kind in HONEST]
        # A constant answer is the best there is where nothing is found; the question is what listening finds.
        listening = [result for result in honest if catalog.models[result.provenance.model].inputs] or honest
        if listening:
            best = max(listening, key=lambda result: result.headline.value)
            above = sum(result.verdict == "above chance" for result in listening)
            description, question = catalog.cohorts[cohort].description, QUESTIONS[best.target]
            made.append(Answer(cohort, description, question, best, above))
    return sorted(made, key=lambda answer: (answer.found.verdict != "above chance", answer.cohort))


def site_page(
    catalog: Catalog,
    evidence: Sequence[Evidence],
    not_run: Mapping[str, str],
    champion: Champion | None = None,
    how_much: str | None = None,
) -> dict[str, Any]:
    """Return what the first page shows; of the champion whether a challenger is refused, which concerns everybody."""
    arranged = arrange(evidence)
    return {
        "synthetic": any(result.synthetic for result in evidence),
        "answers": answers(catalog, evidence),
        "cohorts": [
            (name, by_kin(group, lambda result: result))
            for name, group in groupby(arranged, lambda result: result.provenance.cohort)
        ],
        "not_run": not_run,
        "metric_names": METRIC_NAMES,
        "refused": refusal_of(champion) if champion else None,
        "how_much": how_much,
    }


def site_spec(catalog: Catalog) -> dict[str, Any]:
    """Return the cohorts' descriptions, which the page shows, as they enter its key."""
    return {"cohorts": {name: cohort.description for name, cohort in catalog.cohorts.items()}}


def _inputs(material: Material) -> dict[str, Any]:
    refused = material.champion and material.champion.refused
    about = {"evidence": material.digests, "not_run": dict(material.not_run)}
    about |= {"how_much": material.how_much} if material.how_much else {}
    return about | ({"refused": asdict(refused)} if refused else {})


SITE = Report(
    name="site",
    stage="site",
    file="index",
    title="Infant cries: what models find, and what of it holds",
    description="The site's first page: what was asked, what came out, what was not run. Open this one.",
    spec=site_spec,
    reads=("evidence", "champion", "how_much"),
    inputs=_inputs,
    content=lambda material: material.evidence,
    page=lambda evidence, material: site_page(
        material.catalog, evidence, material.not_run, material.champion, material.how_much
    ),
)
