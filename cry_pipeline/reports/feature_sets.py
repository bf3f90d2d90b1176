"""Feature sets side by side: pictures of the same recordings, size, cost, and each model's evidence on each of them.

Belongs here: which recordings are the examples, what evidence stands beside what, and filling the page's template.
Does not: figures (figures/feature_sets.py), size and cost (feature_set_costs.py), evidence
itself, and the page's words and looks (``templates/``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.reports.feature_set_costs import machine, measure, resampled, with_what_is_not_kept
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Features, Material, Report
from cry_pipeline.reports.rows import glance, headline_columns
from cry_pipeline.reports.schemas import ARRAYS, FEATURE_SETS

if TYPE_CHECKING:
    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.reports.figures.feature_sets import Imaged

PLACES = (1 / 6, 3 / 6, 5 / 6)


class FeatureSetsError(ValueError):
    """Feature sets cannot be compared; the message says what is missing."""


class ByFeatureSet(NamedTuple):
    """One model, protocol and seed: its evidence by feature set."""

    model: str
    protocol: str
    keeps_donors_apart: bool
    seed: int
    found: dict[str, Evidence]


@dataclass(frozen=True)
class Measured:
    """What page and table show: the examples, their features in each set, and what these take."""

    examples: pd.DataFrame
    sets: "Sequence[Imaged]"
    costs: list[dict[str, Any]]


def measured(material: Material) -> Measured:
    """Read the features of the examples, and measure what they take.

    Raises:
        FeatureSetsError: no recording has its features in every set.
        FeatureStoreError, DecodeError, OSError: features or an audio file of an example cannot be read.
    """
    from cry_pipeline.reports.figures.feature_sets import Imaged

    features = _features(material)
    examples = pick_examples(features.recordings, features.stores)
    ids = examples["recording_id"].tolist()
    sets = []
    for name, store in features.stores.items():
        kept = store.read(ids, store.spec.kinds)
        sets.append(Imaged(name, store.spec, with_what_is_not_kept(kept, store.spec, examples, features.roots)))
    return Measured(examples, sets, measure(sets, examples, features.recordings, features.roots))


def feature_sets_inputs(material: Material) -> dict[str, Any]:
    """Return what features, recordings and evidence the report is made of, as it enters its key."""
    features = _features(material)
    stores = features.stores
    examples = pick_examples(features.recordings, stores)
    return {
        "feature_sets": {name: store.digest for name, store in stores.items()},
        "examples": [
            examples[["recording_id", "root", "path"]].astype(str).to_numpy().tolist(),
            synthetic(examples, material.evidence),
        ],
        "resampled": [resampled(features.recordings, store.spec) for store in stores.values()],
        "evidence": material.digests,
    }


def feature_sets_spec(catalog: Catalog) -> dict[str, Any]:
    """Return the descriptions that the page shows, as they enter its key."""
    return {"descriptions": {name: spec.description for name, spec in catalog.feature_sets.items()}}


def pick_examples(recordings: pd.DataFrame, stores: "Mapping[str, FeatureStore]") -> pd.DataFrame:
    """Return the manifest's rows of at most three recordings that every store has the features of.

    Of what curators kept as a cry (of all, where none is marked as kept), in the order of sample rate, voiced
    fraction and id, they are the middles of the three thirds: not our choice, and of a rate as often as it comes.

    Raises:
        FeatureSetsError: there is none.
    """
    if not stores:
        raise FeatureSetsError("There is no feature set to compare; the catalog has none.")
    stored = set.intersection(*(store.recording_ids() for store in stores.values()))
    shown = recordings[recordings["recording_id"].isin(stored)]
    kept = shown[shown["kept"].fillna(False).astype(bool)]
    ranked = (shown if kept.empty else kept).sort_values(["sample_rate_hz", "voiced_fraction", "recording_id"])
    if ranked.empty:
        raise FeatureSetsError(
            "No recording has its features in every feature set: materialize them with `cry-pipeline run`."
        )
    places = sorted({int(share * len(ranked)) for share in PLACES})
    return ranked.iloc[places].reset_index(drop=True)


def compare(catalog: Catalog, evidence: Sequence[Evidence]) -> dict[str, list[ByFeatureSet]]:
    """Return, by cohort, what differs in nothing but the feature set, in the order of the catalog's sets.

    Left out are models that look at no features. Compared on most feature sets comes first, then donor-grouped.
    """
    seen = [result for result in evidence if catalog.models[result.provenance.model].inputs]
    order = {name: place for place, name in enumerate(catalog.feature_sets)}

    def kin(result: Evidence) -> tuple[str, str, str, int]:
        run = result.provenance
        return run.cohort, run.model, run.protocol, run.seed

    by_cohort: dict[str, list[ByFeatureSet]] = {}
    for (cohort, model, protocol, seed), group in groupby(sorted(seen, key=kin), kin):
        members = sorted(group, key=lambda result: order[result.provenance.feature_set])
        # Experiments that are equal but for their name have one and the same run: either stands for both.
        by_set = {member.provenance.feature_set: member for member in members}
        apart = members[0].provenance.keeps_donors_apart
        by_cohort.setdefault(cohort, []).append(ByFeatureSet(model, protocol, apart, seed, by_set))
    for compared in by_cohort.values():
        compared.sort(key=lambda run: (-len(run.found), not run.keeps_donors_apart, run.model, run.seed))
    return dict(sorted(by_cohort.items(), key=lambda item: -max(len(run.found) for run in item[1])))


def evidence_table(catalog: Catalog, evidence: Sequence[Evidence]) -> pd.DataFrame:
    """Return one row per model, cohort, protocol and feature set that there is evidence of, in the page's order."""
    rows = [
        {
            "cohort": cohort,
            "model": run.model,
            "protocol": run.protocol,
            "feature_set": name,
            **headline_columns(result),
            "metric": METRIC_NAMES[result.headline_metric],
            "qualification": result.qualification or "",
        }
        for cohort, compared in compare(catalog, evidence).items()
        for run in compared
        for name, result in run.found.items()
    ]
    return pd.DataFrame(rows)


def _at_a_glance(table: pd.DataFrame) -> pd.DataFrame:
    columns = ("model", "score", "verdict", "cohort", "protocol", "feature_set", "qualification")
    return table if table.empty else glance(table, *columns)


def feature_sets_page(content: Measured, catalog: Catalog, evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Return what the page shows; one with any generated recording says so first thing in its title."""
    from cry_pipeline.features.kinds import parameters
    from cry_pipeline.reports.figures.feature_sets import SECONDS, common_scale, feature_set_images

    scale, names = common_scale(content.sets), captions(content.examples)
    files = [PurePosixPath(path).name for path in content.examples["path"]]
    pictures = {
        imaged.name: picture(
            lambda theme, imaged=imaged: feature_set_images(imaged, scale, names, theme),
            f"Spectrogram, mel and MFCC images of {imaged.name}, of the recordings {'; '.join(names)}.",
        )
        for imaged in content.sets
    }
    return {
        "synthetic": synthetic(content.examples, evidence),
        "rows": content.costs,
        "specs": {imaged.name: imaged.spec for imaged in content.sets},
        "parameters": {imaged.name: parameters(imaged.spec) for imaged in content.sets},
        "arrays": ARRAYS,
        "pictures": pictures,
        "excerpt_s": SECONDS,
        "examples": content.examples.assign(caption=names, file=files, start_s=scale.starts_s).to_dict("records"),
        "machine": machine(),
        "comparisons": compare(catalog, evidence),
        "metric_names": METRIC_NAMES,
    }


def mel_images(content: Measured) -> dict[str, bytes]:
    """Return a picture of one example in every feature set, small enough for the UI."""
    from cry_pipeline.reports.figures.feature_sets import overview

    middle = len(content.examples) // 2
    return {"mel images": overview(content.sets, middle, captions(content.examples)[middle])}


def captions(examples: pd.DataFrame) -> list[str]:
    """Return how each example is called: the beginning of its id, and the reason that its donor gave."""
    reasons = examples["reason"].astype(str).str.replace("_", " ")
    return [f"{name[:8]}, {reason}" for name, reason in zip(examples["recording_id"], reasons, strict=True)]


def synthetic(examples: pd.DataFrame, evidence: Sequence[Evidence]) -> bool:
    """Return whether any recording shown or evaluated was generated."""
    return bool((examples["source"] == "synthetic").any()) or any(result.synthetic for result in evidence)


def _features(material: Material) -> Features:
    if material.features is None:
        raise FeatureSetsError("There are no features to compare: hand the stores, the manifest and its folders in.")
    return material.features


FEATURE_SETS_REPORT = Report(
    name="feature_sets",
    stage="feature_sets_report",
    file="feature_sets",
    title="Feature sets",
    description="The same recordings in every feature set, what a second of audio takes in each, and each model's "
    "evidence by feature set.",
    spec=feature_sets_spec,
    inputs=feature_sets_inputs,
    reads=("evidence", "features"),
    content=measured,
    schema=FEATURE_SETS,
    rows=lambda content: content.costs,
    page=lambda content, material: feature_sets_page(content, material.catalog, material.evidence),
    noted=lambda: {"machine": machine()},
    plots=mel_images,
    beside=lambda material: {"evidence": _at_a_glance(evidence_table(material.catalog, material.evidence))},
    glance=(
        *("feature_set", "sample_rate_hz", "window_ms", "hop_ms", "mel_width", "mfcc_width"),
        *("bytes_per_s", "transform_ms_per_s", "statistics_ms_per_s"),
    ),
)
