"""What the tables of reports must look like.

Belongs here: their schemas. Does not: filling the tables (the module of each report).
"""

from typing import get_args

from cry_pipeline.corpus.schemas import SAID, SCOPES
from cry_pipeline.evaluation.records import METRIC_NAMES, Verdict
from cry_pipeline.tables import FILLED, Column, Rule, Schema, flag, instant, integer, number, sha256, text
from cry_pipeline.targets import Target

ARRAYS = ("spectrogram", "mel", "mfcc", "statistics")
"""The arrays whose size the table of feature sets tells."""


def _share(description: str, *, nullable: bool = False) -> Column:
    return number(description, 0, 1, nullable=nullable)


def _difference(description: str) -> Column:
    return number(description, -1, 1, nullable=True)


def _in_order(low: str, high: str) -> dict[str, Rule]:
    """Return the rule that an interval, where there is one, does not end before it begins."""
    return {f"{low} is at most {high}": lambda table: ~(table[low] > table[high])}


def _headline(*, nullable: bool) -> dict[str, Column]:
    return {
        "metric": text("key of the headline metric", among=METRIC_NAMES, nullable=nullable),
        "value": _share("the headline metric", nullable=nullable),
        "low": _share("lower end of its 95 % interval over donors", nullable=nullable),
        "high": _share("upper end of its 95 % interval over donors", nullable=nullable),
        "chance": _share("the headline metric of a model that knows nothing", nullable=nullable),
    }


def _verdict(*, nullable: bool) -> Column:
    return text("what the evidence supports", among=get_args(Verdict), nullable=nullable)


def _accuracy(*, nullable: bool) -> dict[str, Column]:
    return {
        "accuracy": _share("share of predictions that are right", nullable=nullable),
        "majority_rate": _share("accuracy of always giving the most frequent class", nullable=nullable),
    }


def _compared(description: str) -> dict[str, Column]:
    return {
        "difference": _difference(description),
        "difference_low": _difference("lower end of its 95 % interval over donors"),
        "difference_high": _difference("upper end of its 95 % interval over donors"),
        "p_value": _share("two-sided, of the difference", nullable=True),
        "p_adjusted": _share("the same by Holm over the comparisons of one table of the page", nullable=True),
        "words": text("what the difference says, by Holm"),
    }


_EXPERIMENT = text("name in the catalog", matches=FILLED)
_COHORT = text("its cohort", matches=FILLED)
_FEATURE_SET = text("its feature set", matches=FILLED)
_MODEL = text("its model", matches=FILLED)
_PROTOCOL = text("its protocol", matches=FILLED)
_SEED = integer("its seed")
_MACRO_F1 = "mean F1 over the classes in the truth"
_QUALIFICATION = "what keeps the numbers from speaking about new babies; empty where donors are kept apart"

LEADERBOARD = Schema(
    "the leaderboard",
    {
        "experiment": _EXPERIMENT,
        "cohort": _COHORT,
        "target": text("what its classes are", among=get_args(Target)),
        "feature_set": _FEATURE_SET,
        "model": _MODEL,
        "protocol": _PROTOCOL,
        "seed": _SEED,
        "recordings": integer("recordings tested", 1),
        "donors": integer("their donors", 1),
        **_headline(nullable=False),
        "p_value": _share("of the headline metric when labels are dealt between donors at random"),
        "p_adjusted": _share("the same by Holm over all experiments that asked the same of the cohort"),
        "tried": integer("how many these are", 1),
        "verdict": _verdict(nullable=False),
        "qualification": text(_QUALIFICATION),
        "twin": text(
            "the donor-grouped experiment that a clip-level one is read with, or that there is none; else empty"
        ),
        **_accuracy(nullable=False),
        "uar": _share("unweighted average recall"),
        "macro_f1": _share(_MACRO_F1),
        "auc": _share("area under the ROC curve, within folds"),
        "resamples_lost": integer("resamples of the donors that lacked a class", 0),
        "synthetic": flag("whether any recording was generated"),
        "run_digest": text("digest of the run", matches=FILLED),
        "digest": sha256("digest of the evidence"),
    },
    unique=["experiment"],
    rules=_in_order("low", "high"),
)
"""A row for each experiment."""

LADDER = Schema(
    "the leakage ladder",
    {
        "cohort": _COHORT,
        "feature_set": _FEATURE_SET,
        "model": _MODEL,
        "protocol": text("kind of the protocol", matches=FILLED),
        "experiment": text("name in the catalog; empty where it has none"),
        "status": text("whether there is evidence", among=["run", "not run", "not in the catalog"]),
        "recordings": number("recordings tested, copies counted", 1, nullable=True),
        "shared_donors": number("donors tested in more than one fold of a repeat", 0, nullable=True),
        **_headline(nullable=True),
        "step": _difference("headline metric − that of the donor-grouped rung"),
        "step_low": _difference("lower end of its 95 % interval over donors"),
        "step_high": _difference("upper end of its 95 % interval over donors"),
        **_accuracy(nullable=True),
        "macro_f1": _share(_MACRO_F1, nullable=True),
        "verdict": _verdict(nullable=True),
        "qualification": text(_QUALIFICATION, nullable=True),
    },
    rules=_in_order("low", "high") | _in_order("step_low", "step_high"),
)
"""A row for each rung; what there is no evidence of is missing."""

ABLATION = Schema(
    "the hybrid ablation",
    {
        "cohort": _COHORT,
        "feature_set": _FEATURE_SET,
        "protocol": _PROTOCOL,
        "plane": text("hybrid, or the only plane that the network sees", matches=FILLED),
        "experiment": _EXPERIMENT,
        "status": text("whether there is evidence", among=["run", "not run"]),
        **_headline(nullable=True),
        **_accuracy(nullable=True),
        "verdict": _verdict(nullable=True),
        **_compared("hybrid − this one, paired"),
    },
    rules=_in_order("low", "high") | _in_order("difference_low", "difference_high"),
)
"""A row for each variant; what there is no evidence of, or nothing to compare with, is missing."""

COMPARISON = Schema(
    "the model comparison",
    {
        "cohort": _COHORT,
        "feature_set": _FEATURE_SET,
        "protocol": _PROTOCOL,
        "seed": _SEED,
        "experiment": _EXPERIMENT,
        "model": _MODEL,
        "has_network": flag("whether the model is a network or an ensemble with one"),
        **_headline(nullable=False),
        "verdict": _verdict(nullable=False),
        **_compared("this one − the best baseline, paired; missing for the best baseline itself"),
    },
    unique=["experiment"],
    rules=_in_order("low", "high") | _in_order("difference_low", "difference_high"),
)
"""A row for each run."""

CONTRADICTED = Schema(
    "the table of contradicted labels",
    {
        "cohort": _COHORT,
        "recording_id": sha256("sha256 of the file's bytes"),
        "donor": text("app-instance UUID", matches=FILLED),
        "label": text("its class in the cohort", matches=FILLED),
        "says": text("the class that the models take it for, by the mean of their probabilities", matches=FILLED),
        "probability": _share("the models' mean calibrated out-of-fold probability of the label"),
        "against": integer("models that do not take it for its label", 0),
        "models": integer("that were asked", 1),
        "source": text("where the recording comes from", matches=FILLED),
        "file": text("the file's name", matches=FILLED),
        "duration_s": number("length", 0),
        "rms_dbfs": number("level, relative to full scale"),
    },
    unique=["cohort", "recording_id"],
)
"""A row for each recording whose label the models contradict, the most contradicted first."""

PAIRS = Schema(
    "the table of pairs",
    {
        "cohort": _COHORT,
        "protocol": _PROTOCOL,
        "first": text("an experiment; of an earlier run with the beginning of its digest", matches=FILLED),
        "second": text("another on the same folds", matches=FILLED),
        "first_run": sha256("digest of the first run"),
        "second_run": sha256("digest of the second run"),
        "metric": text("key of the headline metric", among=METRIC_NAMES),
        "difference": number("first − second, paired", -1, 1),
        "difference_low": number("lower end of its 95 % interval over donors", -1, 1),
        "difference_high": number("upper end of its 95 % interval over donors", -1, 1),
        "p_value": _share("two-sided, of a pair that was named beforehand"),
    },
    unique=["first", "second"],
    rules=_in_order("difference_low", "difference_high"),
)
"""A row for every two runs on the same folds."""

FEATURE_SETS = Schema(
    "the table of feature sets",
    {
        "feature_set": text("name in the catalog", matches=FILLED),
        "sample_rate_hz": integer("that recordings are resampled to", 1),
        "window_ms": number("length of the analysis window", 0),
        "hop_ms": number("time between frames", 0),
        "fmin_hz": number("lower limit of the mel filters", 0),
        "fmax_hz": number("upper limit of the mel filters", 0),
        "upsampled": _share("of the manifest's recordings, whose own rate is lower"),
        "downsampled": _share("of the manifest's recordings, whose own rate is higher"),
        "frames_per_s": number("frames of a second of audio", 0),
        **{f"{name}_width": integer(f"values in a row of {name}", 1) for name in ARRAYS},
        **{f"{name}_bytes_per_s": number(f"bytes of {name} of a second of audio", 0) for name in ARRAYS},
        "bytes_per_s": number("bytes of all arrays of a second of audio", 0),
        "transform_ms_per_s": number("CPU time of one thread for the transforms of a second of audio", 0),
        "statistics_ms_per_s": number("CPU time of one thread for its pooled statistics", 0),
        "cost_ms_per_s": number("the sum of both", 0),
        "digest": sha256("digest of the feature set"),
    },
    unique=["feature_set"],
)
"""A row for each feature set; times are of the machine that the table was made on."""

DECISIONS = ("taken", "set_aside", "person")
"""What triage says of a donation: as ``donations.triage`` does, which reports do not know."""

DONATIONS = Schema(
    "the table of donations",
    {
        "recording_id": sha256("sha256 of the file's bytes"),
        "arrived_at": instant("when it arrived"),
        "recorded_at": instant("when it was recorded"),
        "name": text("the file's own name, as it came", matches=FILLED),
        "platform": text("app or device that recorded it", matches=FILLED),
        "donor": text("app-instance UUID", matches=FILLED),
        "consent_scope": text("what it may be used for; none: training", among=SCOPES, nullable=True),
        "duration_s": number("length", 0),
        "bundle": sha256("the champion that decided on it", nullable=True),
        "score": _share("its probability of a cry", nullable=True),
        "decision": text("what triage said; none: not asked, or not yet", among=DECISIONS, nullable=True),
        "audit": flag("whether a person hears it to measure triage", nullable=True),
        "judgement": text("what people said of it", among=SAID, nullable=True),
        "people": text("who said so", nullable=True),
        "features": text("feature sets that hold it"),
        "cohorts": text("cohorts that it is in"),
    },
    unique=["recording_id"],
)
"""A row for each donation, the latest first."""

WEEKS = Schema(
    "the table of weeks",
    {
        "week": text("its Monday, UTC", matches=r"^\d{4}-\d{2}-\d{2}$"),
        "donations": integer("donations that arrived and a champion decided on", 1),
        "donors": integer("their donors", 1),
        "taken": integer("taken as a cry", 0),
        "set_aside": integer("set aside", 0),
        "person": integer("left to a person", 0),
        "asked": integer("left to a person, or drawn for audit", 0),
        "heard": integer("of these, that somebody has judged", 0),
    },
    unique=["week"],
)
"""A row for each week in which donations arrived, the latest first."""
