"""Manifest → cohort: the recordings of one comparison, each with its class.

Belongs here: selecting and labelling. Does not: what cohorts there are (the catalog) and how they are split
(folds).
"""

import pandas as pd

from cry_pipeline.catalog.specs import CohortSpec
from cry_pipeline.digests import digest

COLUMNS = [
    "recording_id",
    "donor",
    "donation_id",
    "label",
    "source",
    "platform",
    "gender",
    "age_band",
    "recorded_at",
    "duration_s",
]


class CohortError(ValueError):
    """A cohort cannot be made of these recordings; the message says what is missing and what to do."""


def select_cohort(recordings: pd.DataFrame, spec: CohortSpec) -> pd.DataFrame:
    """Return the recordings that ``spec`` selects, with their ``label``: :data:`COLUMNS`, sorted by recording_id.

    Selected are recordings of the spec's processing and sources, whose reason its ``labels`` name, of at least
    ``min_duration_s``. For target ``reason`` the label is what ``labels`` makes of the reason; for target
    ``cry`` it is ``cry`` where the curators kept the upload and ``not_cry`` where they did not.

    Raises:
        CohortError: nothing is selected, a class has no recording, or (target ``cry``) the curators' judgement
            on a selected recording is not known.
    """
    selected = recordings
    for column, rule, wanted in (
        ("processing", recordings["processing"] == spec.processing, spec.processing),
        ("source", recordings["source"].isin(spec.sources), ", ".join(spec.sources)),
        ("reason", recordings["reason"].isin(list(spec.labels)), ", ".join(spec.labels)),
        ("duration_s", recordings["duration_s"] >= spec.min_duration_s, f"at least {spec.min_duration_s}"),
    ):
        before, selected = len(selected), selected[rule.reindex(selected.index)]
        if selected.empty:
            raise CohortError(
                f"the cohort is empty: none of {before} recordings has {column} {wanted}; "
                "check the cohort's entry in the catalog and the quarantine"
            )
    cohort = selected.assign(label=_labels(selected, spec)).sort_values("recording_id", ignore_index=True)
    absent = [name for name in spec.classes if name not in set(cohort["label"])]
    if absent:
        raise CohortError(
            f"none of the cohort's {len(cohort)} recordings is of class {', '.join(absent)}: "
            "take the class out of the cohort's labels and classes, or add a source that has it"
        )
    return cohort[COLUMNS]


def cohort_digest(recordings: pd.DataFrame, spec: CohortSpec) -> str:
    """Return the sha256, as 64 hex digits, of the cohort of ``spec``: its rows' :data:`COLUMNS` and their sounds.

    It is the data version of what is made of the cohort alone: a recording that the cohort does not select, or a
    measure of one that it does, leaves it as it is.

    Args:
        recordings: RECORDINGS.
        spec: of the cohort.

    Raises:
        CohortError: as :func:`select_cohort`.
    """
    cohort = select_cohort(recordings, spec)
    sounds = recordings.set_index("recording_id")["samples_digest"]
    rows = cohort.assign(
        recorded_at=cohort["recorded_at"].dt.as_unit("ns").astype("int64"),
        samples_digest=cohort["recording_id"].map(sounds),
    )
    plain = rows.astype(object).where(rows.notna(), None)
    return digest(columns=list(plain), rows=plain.to_numpy().tolist())


def _labels(selected: pd.DataFrame, spec: CohortSpec) -> "pd.Series[str]":
    if spec.target == "reason":
        return selected["reason"].map(spec.labels).astype("str")
    unjudged = selected[selected["kept"].isna()]
    if len(unjudged):
        groups = ", ".join(sorted({f"{row.source} {row.reason}" for row in unjudged.itertuples()}))
        raise CohortError(
            f"the curators' judgement on {len(unjudged)} recordings is not known ({groups}): "
            "take these sources or reasons out of the cohort"
        )
    return selected["kept"].map({True: "cry", False: "not_cry"}).astype("str")
