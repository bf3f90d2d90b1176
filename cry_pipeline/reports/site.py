"""The site's first page: what was asked, what came out, and the way to every other page.

Belongs here: the overview of all reports. Does not: the reports (their modules), and what pages share (pages.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.comparisons import holm_adjusted
from cry_pipeline.evaluation.findings import SIGNIFICANCE
from cry_pipeline.evaluation.records import HONEST, METRIC_NAMES, Evidence
from cry_pipeline.reports.leaderboard import arrange
from cry_pipeline.reports.page_keys import TEMPLATES, site_spec
from cry_pipeline.reports.pages import fill, write_page

STAGE = "site"
PAGE = "index.html"
QUESTIONS = {"cry": "Is it a cry?", "reason": "Why does the baby cry?"}


@dataclass(frozen=True)
class Answer:
    """What the best donor-grouped run of a cohort says, of the models that listen, and how many of them were tried.

    ``above`` of them are above chance, each by itself; ``p_adjusted`` is the best one's p of its permutation null by
    Holm over all that were tried.
    """

    cohort: str
    description: str
    question: str
    found: Evidence
    tried: int
    above: int
    p_adjusted: float

    @property
    def holds(self) -> bool:
        """Whether the best is above chance even though so many were tried."""
        return self.found.verdict == "above chance" and self.p_adjusted <= SIGNIFICANCE


def answers(catalog: Catalog, evidence: Sequence[Evidence]) -> list[Answer]:
    """Return, for each cohort with a donor-grouped run, its question and what the best such run says.

    What can be answered comes first.
    """
    made = []
    for cohort, group in groupby(arrange(evidence), lambda found: found.provenance.cohort):
        honest = [found for found in group if found.provenance.protocol_kind == HONEST]
        # A constant answer is the best there is where nothing is found; the question is what listening finds.
        grouped = [found for found in honest if catalog.models[found.provenance.model].inputs] or honest
        if grouped:
            best = max(grouped, key=lambda found: found.headline.value)
            above = sum(found.verdict == "above chance" for found in grouped)
            adjusted = holm_adjusted([found.null.p_value for found in grouped])[grouped.index(best)]
            description, question = catalog.cohorts[cohort].description, QUESTIONS[best.target]
            made.append(Answer(cohort, description, question, best, len(grouped), above, adjusted))
    return sorted(made, key=lambda answer: (not answer.holds, answer.cohort))


def site_html(catalog: Catalog, evidence: Sequence[Evidence], not_run: Mapping[str, str]) -> str:
    """Return the overview page."""
    arranged = arrange(evidence)
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title="Infant cries: what models find, and what of it holds",
        synthetic=any(found.synthetic for found in evidence),
        answers=answers(catalog, evidence),
        cohorts=[(name, list(group)) for name, group in groupby(arranged, lambda found: found.provenance.cohort)],
        not_run=not_run,
        metric_names=METRIC_NAMES,
    )


def write_site(
    catalog: Catalog, evidence: Sequence[Evidence], not_run: Mapping[str, str], folder: Path
) -> tuple[str, Path, bool]:
    """Write ``index.html`` to ``folder`` unless it is current; returns (digest, page, whether it was current)."""
    inputs = {"evidence": sorted(found.digest for found in evidence), "not_run": dict(not_run)}
    key = keys.key(STAGE, site_spec(catalog), inputs)
    page = folder / PAGE
    return key, page, write_page(page, key, lambda: site_html(catalog, evidence, not_run))
