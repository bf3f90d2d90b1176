"""Feature sets side by side: pictures of the same recordings, size, cost, and each model's evidence on each of them.

Belongs here: which recordings are the examples, what evidence stands beside what, and filling the page's template.
Does not: figures (figures/feature_sets.py), size and cost (feature_set_costs.py), evidence
itself, and the page's words and looks (``templates/``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import write_html, write_table
from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.reports.feature_set_costs import ARRAYS, machine, measure, resampled
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec

if TYPE_CHECKING:
    from cry_pipeline.corpus.sources import Roots
    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.reports.figures.feature_sets import Imaged

STAGE = "feature_sets_report"
PAGE, TABLE = "feature_sets.html", "feature_sets.parquet"
PLACES = (1 / 6, 3 / 6, 5 / 6)


class FeatureSetsError(ValueError):
    """Feature sets cannot be compared; the message says what is missing."""


@dataclass(frozen=True)
class FeatureSetsReport:
    """A comparison on disk: digest of what went in, table, page, Dagster's picture, and whether it was current."""

    digest: str
    table: pd.DataFrame
    evidence: pd.DataFrame
    page: Path
    overview: bytes
    reused: bool


class Comparison(NamedTuple):
    """One model, protocol and seed: its evidence by feature set."""

    model: str
    protocol: str
    grouped: bool
    seed: int
    found: dict[str, Evidence]


def write_feature_sets(
    catalog: Catalog,
    stores: "Mapping[str, FeatureStore]",
    recordings: pd.DataFrame,
    roots: "Roots",
    evidence: Sequence[Evidence],
    folder: Path,
) -> FeatureSetsReport:
    """Write ``feature_sets.html`` and ``.parquet`` to ``folder``, each atomically, unless they are current.

    Args:
        catalog: says which feature sets and models there are.
        stores: the store of each feature set, by name.
        recordings: the manifest.
        roots: where the audio files are; the examples are decoded to measure the cost of their features.
        evidence: of any experiments of the catalog.
        folder: where reports lie.

    Raises:
        FeatureSetsError: no recording has its features in every set.
        FeatureStoreError, DecodeError, OSError: features or an audio file of an example cannot be read.
    """
    from cry_pipeline.reports.figures.feature_sets import Imaged, overview
    from cry_pipeline.reports.pages import kept_table

    examples = pick_examples(recordings, stores)
    ids = examples["recording_id"].tolist()
    inputs = {
        "feature_sets": {name: store.digest for name, store in stores.items()},
        "examples": [ids, synthetic(examples, evidence)],
        "resampled": [resampled(recordings, store.spec) for store in stores.values()],
        "evidence": sorted(found.digest for found in evidence),
    }
    key, page = keys.key(STAGE, feature_sets_spec(catalog), inputs), folder / PAGE
    kept = kept_table(page, folder / TABLE, key)
    sets = [Imaged(name, store.spec, store.read(ids, ARRAYS)) for name, store in stores.items()]
    table = measure(sets, examples, recordings, roots) if kept is None else kept
    if kept is None:
        write_html(page, feature_sets_html(table, sets, examples, catalog, evidence), key)
        write_table(folder / TABLE, table, key, machine=machine())
    middle = len(ids) // 2
    picture = overview(sets, middle, captions(examples)[middle])
    return FeatureSetsReport(key, table, evidence_table(catalog, evidence), page, picture, kept is not None)


def feature_sets_spec(catalog: Catalog) -> dict[str, object]:
    """Return what, besides features, recordings and evidence, the report is made of, as it enters its key."""
    descriptions = {name: spec.description for name, spec in catalog.feature_sets.items()}
    return page_spec(STAGE, descriptions=descriptions)


def pick_examples(recordings: pd.DataFrame, stores: "Mapping[str, FeatureStore]") -> pd.DataFrame:
    """Return the manifest's rows of at most three recordings that every store has the features of.

    Of what curators kept as a cry (of all, where none is marked as kept), in the order of sample rate, voiced
    fraction and id, they are the middles of the three thirds: not our choice, and of a rate as often as it comes.

    Raises:
        FeatureSetsError: there is none.
    """
    if not stores:
        raise FeatureSetsError("There is no feature set to compare; the catalog has none.")
    held = set.intersection(*(store.recording_ids() for store in stores.values()))
    here = recordings[recordings["recording_id"].isin(held)]
    kept = here[here["kept"].fillna(False).astype(bool)]
    ranked = (here if kept.empty else kept).sort_values(["sample_rate_hz", "voiced_fraction", "recording_id"])
    if ranked.empty:
        raise FeatureSetsError(
            "No recording has its features in every feature set: materialize them with `cry-pipeline run`."
        )
    places = sorted({int(share * len(ranked)) for share in PLACES})
    return ranked.iloc[places].reset_index(drop=True)


def compare(catalog: Catalog, evidence: Sequence[Evidence]) -> dict[str, list[Comparison]]:
    """Return, by cohort, what differs in nothing but the feature set, in the order of the catalog's sets.

    Left out are models that look at no features. Compared on most feature sets comes first, then donor-grouped.
    """
    seen = [found for found in evidence if catalog.models[found.provenance.model].inputs]
    order = {name: place for place, name in enumerate(catalog.feature_sets)}

    def kin(found: Evidence) -> tuple[str, str, str, int]:
        of = found.provenance
        return of.cohort, of.model, of.protocol, of.seed

    by_cohort: dict[str, list[Comparison]] = {}
    for (cohort, model, protocol, seed), group in groupby(sorted(seen, key=kin), kin):
        members = sorted(group, key=lambda found: order[found.provenance.feature_set])
        # Experiments that are equal but for their name have one and the same run: either stands for both.
        found = {member.provenance.feature_set: member for member in members}
        grouped = members[0].provenance.grouped
        by_cohort.setdefault(cohort, []).append(Comparison(model, protocol, grouped, seed, found))
    for comparisons in by_cohort.values():
        comparisons.sort(key=lambda each: (-len(each.found), not each.grouped, each.model, each.seed))
    return dict(sorted(by_cohort.items(), key=lambda item: -max(len(each.found) for each in item[1])))


def evidence_table(catalog: Catalog, evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return one row per model, cohort, protocol and feature set that there is evidence of, in the page's order."""
    rows = [
        {
            "cohort": cohort,
            "model": each.model,
            "protocol": each.protocol,
            "feature_set": name,
            "metric": METRIC_NAMES[found.headline_metric],
            "value": found.headline.value,
            "low": found.headline.low,
            "high": found.headline.high,
            "chance": found.chance,
            "verdict": found.verdict,
            "qualification": found.qualification or "",
        }
        for cohort, comparisons in compare(catalog, evidence).items()
        for each in comparisons
        for name, found in each.found.items()
    ]
    return pd.DataFrame(rows)


def feature_sets_html(
    table: pd.DataFrame,
    sets: "Sequence[Imaged]",
    examples: pd.DataFrame,
    catalog: Catalog,
    evidence: Sequence[Evidence],
) -> str:
    """Return a self-contained page; one with any generated recording says so first thing in its title."""
    from cry_pipeline.features.kinds import parameters
    from cry_pipeline.reports.figures.feature_sets import SECONDS, common_scale, feature_set_images
    from cry_pipeline.reports.pages import fill, picture

    scale, names = common_scale(sets), captions(examples)
    pictures = {
        one.name: picture(
            lambda theme, one=one: feature_set_images(one, scale, names, theme),
            f"Spectrogram, mel and MFCC images of {one.name}, of the recordings {'; '.join(names)}.",
        )
        for one in sets
    }
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title="Feature sets",
        synthetic=synthetic(examples, evidence),
        rows=table.to_dict("records"),
        specs={one.name: one.spec for one in sets},
        parameters={one.name: parameters(one.spec) for one in sets},
        arrays=ARRAYS,
        pictures=pictures,
        excerpt_s=SECONDS,
        examples=examples.assign(caption=names, start_s=scale.starts_s).to_dict("records"),
        machine=machine(),
        comparisons=compare(catalog, evidence),
        metric_names=METRIC_NAMES,
    )


def captions(examples: pd.DataFrame) -> list[str]:
    """Return how each example is called: the beginning of its id, and the reason that its donor gave."""
    reasons = examples["reason"].astype(str).str.replace("_", " ")
    return [f"{name[:8]}, {reason}" for name, reason in zip(examples["recording_id"], reasons, strict=True)]


def synthetic(examples: pd.DataFrame, evidence: Sequence[Evidence]) -> bool:
    """Return whether any recording shown or evaluated was generated."""
    return bool((examples["source"] == "synthetic").any()) or any(found.synthetic for found in evidence)
