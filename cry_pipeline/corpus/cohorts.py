"""Manifest → cohort: the recordings of one comparison, each with its class.

Belongs here: selecting and labelling. Does not: what cohorts there are (the catalog) and how they are split
(folds).
"""

from typing import NamedTuple

import pandas as pd

from cry_pipeline.catalog.specs import CohortSpec
from cry_pipeline.digests import rows_digest

DONATED = "inbox"
"""Source of donations."""
TRAINING = "training"
"""What a donor agrees to who says no scope."""
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


class _Rule(NamedTuple):
    """A rule of a cohort: of which column, which recordings keep it, and what these have there, in words."""

    column: str
    holds: "pd.Series[bool]"
    wanted: str


class LeftOut(NamedTuple):
    """The rows of the manifest that a rule leaves out, because their ``column`` is not what is ``wanted``."""

    column: str
    wanted: str
    recordings: pd.DataFrame


def select_cohort(recordings: pd.DataFrame, spec: CohortSpec) -> pd.DataFrame:
    """Return the recordings that ``spec`` selects, with their ``label``: :data:`COLUMNS`, sorted by recording_id.

    Selected are recordings of the spec's processing and sources, whose reason its ``labels`` name, of at least
    ``min_duration_s``. For target ``reason`` the label is what ``labels`` makes of the reason; for target
    ``cry`` it is what the curators' choice says (``cry`` where they kept the upload and ``not_cry`` where they did
    not), or of a donation what people said after listening. Donations that nobody has judged yet, or whose judgement
    is that they are unusable, are not selected; of those that are, the reason does not matter. For either target, no
    donation is selected that nothing may be trained on.

    Raises:
        CohortError: nothing is selected, a class has no recording, or (target ``cry``) the curators' judgement
            on a selected recording is not known.
    """
    selected = recordings
    for rule in _rules(recordings, spec):
        before, selected = len(selected), selected[rule.holds.reindex(selected.index)]
        if selected.empty:
            raise CohortError(
                f"the cohort is empty: none of {before} recordings has {rule.column} {rule.wanted}; "
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


def left_out(recordings: pd.DataFrame, spec: CohortSpec) -> list[LeftOut]:
    """Return what :func:`select_cohort` leaves out of ``recordings``, rule by rule: each by the first that does."""
    selected, gone = recordings, []
    for rule in _rules(recordings, spec):
        holds = rule.holds.reindex(selected.index)
        gone.append(LeftOut(rule.column, rule.wanted, selected[~holds]))
        selected = selected[holds]
    return gone


def _rules(recordings: pd.DataFrame, spec: CohortSpec) -> list[_Rule]:
    """Return the rules of a cohort, in the order in which they leave out."""
    donated = recordings["source"] == DONATED
    heard = donated & (spec.target == "cry")
    rules = [
        _Rule("processing", recordings["processing"] == spec.processing, spec.processing),
        _Rule("consent_scope", recordings["consent_scope"].fillna(TRAINING) == TRAINING, f"{TRAINING}, or none said"),
        _Rule("source", recordings["source"].isin(spec.sources), ", ".join(spec.sources)),
        _Rule("reason", recordings["reason"].isin(list(spec.labels)) | heard, ", ".join(spec.labels)),
        _Rule("duration_s", recordings["duration_s"] >= spec.min_duration_s, f"at least {spec.min_duration_s}"),
    ]
    if spec.target == "cry":
        judged = ~donated | recordings["judgement"].isin(spec.classes)
        rules.append(_Rule("judgement", judged, ", ".join(spec.classes)))
    return rules


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
    return rows_digest(rows)


def _labels(selected: pd.DataFrame, spec: CohortSpec) -> "pd.Series[str]":
    if spec.target == "reason":
        return selected["reason"].map(spec.labels).astype("str")
    labels = selected["kept"].map({True: "cry", False: "not_cry"}).astype("str")
    labels = labels.where(selected["source"] != DONATED, selected["judgement"].astype("str"))
    unjudged = selected[labels.isna()]
    if len(unjudged):
        groups = ", ".join(sorted({f"{row.source} {row.reason}" for row in unjudged.itertuples()}))
        raise CohortError(
            f"the curators' judgement on {len(unjudged)} recordings is not known ({groups}): "
            "take these sources or reasons out of the cohort"
        )
    return labels
