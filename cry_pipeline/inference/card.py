"""The model card of a bundle, in the headings of Mitchell et al., "Model Cards for Model Reporting" (2019).

Belongs here: words and tables, all figures taken from the evidence. Does not: computing figures.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.targets import QUESTIONS, Target
from cry_pipeline.version import __version__

ABOVE_CHANCE = "above chance"


def model_card(
    candidates: Mapping[Target, Candidate], operating: Mapping[Target, Mapping[str, float]], digest: str
) -> str:
    """Return the card, Markdown.

    Args:
        candidates: the runs that the bundle is made of, by target.
        operating: by target, what is right out of fold at the bundle's threshold, by name.
        digest: of the bundle.
    """
    synthetic = any(candidate.evidence.synthetic for candidate in candidates.values())
    warning = "> **SYNTHETIC DATA**: trained on generated recordings; nothing here says anything about babies.\n\n"
    sections = [
        f"# Model card: infant-cry champion {digest[:16]}\n\n{warning if synthetic else ''}"
        "> **Not for diagnosis.** Not a medical device; no decision about a child may rest on it.",
        _details(candidates, digest),
        _intended_use(candidates),
        _FACTORS,
        _metrics(candidates),
        _data(candidates),
        "## Quantitative analyses\n\n"
        + "\n\n".join(_analysis(target, candidate, operating[target]) for target, candidate in candidates.items()),
        _ETHICS,
        _caveats(candidates),
    ]
    return "\n\n".join(sections) + "\n"


def _details(candidates: Mapping[Target, Candidate], digest: str) -> str:
    lines = [
        f"- Bundle {digest}, exported on {datetime.now(UTC).date().isoformat()} by cry_pipeline {__version__}.",
        "- Input: mono samples; the feature transform is part of each ONNX graph. Output: probabilities.",
    ]
    for target, candidate in candidates.items():
        provenance, features = candidate.evidence.provenance, candidate.feature_set
        lines.append(
            f"- `{target}`: the mean of {len(candidate.members)} models `{provenance.model}`, one for each fold of "
            f"`{candidate.experiment}` (run {provenance.run_digest[:16]}), on features `{provenance.feature_set}` at "
            f"{features.sample_rate_hz} Hz. Classes: {', '.join(candidate.cohort.classes)}. {_calibration(candidate)}"
        )
    lines.append("- Licence: MIT for the code; the recordings are under the corpus' own (Open Database License).")
    return "## Model details\n\n" + "\n".join(lines)


def _calibration(candidate: Candidate) -> str:
    if all(temperature == 1 for temperature in candidate.temperatures):
        return "No temperature was fitted: probabilities are not calibrated."
    temperatures = ", ".join(f"{temperature:.2f}" for temperature in candidate.temperatures)
    return f"Calibrated by temperatures {temperatures}."


def _intended_use(candidates: Mapping[Target, Candidate]) -> str:
    reason = candidates.get("reason")
    if reason is None:
        on_reasons = "It holds no model of reasons."
    elif reason.evidence.verdict == ABOVE_CHANCE:
        on_reasons = "It also gives a reason where its probability allows an answer, and abstains otherwise."
    else:
        on_reasons = (
            f"It **abstains from reasons**: the evidence on them is *{reason.evidence.verdict}*. Their probabilities "
            "are given to Python code alone, for research."
        )
    return (
        "## Intended use\n\n"
        "Triage of donated recordings: which of them hold an infant's cry, so that a person listens to these first. "
        f"Research on what a cry's audio can and cannot tell. {on_reasons}\n\n"
        "### Out of scope\n\n"
        "**Not for diagnosis**, for monitoring a child, for alarms, or for advice to parents. Not for judging pain, "
        "illness or development. Not for recordings other than phone recordings of babies up to two years, and not "
        "for finding out who is recorded."
    )


_FACTORS = (
    "## Factors\n\n"
    "Platform of the app (its codec differs), age band and gender of the baby as the parents stated them, the room and "
    "the phone. The donor is an app installation, not a baby. Results are not broken down by gender or age: most "
    "groups hold too few donors for an interval that says anything."
)


def _metrics(candidates: Mapping[Target, Candidate]) -> str:
    headlines = ", ".join(
        f"{METRIC_NAMES[candidate.evidence.headline_metric]} for {name}" for name, candidate in candidates.items()
    )
    return (
        "## Metrics\n\n"
        f"Headline: {headlines}. Each figure is of out-of-fold predictions: every recording is predicted by a model "
        "that saw no recording of its donor. 95 % intervals by bootstrap over donors. Accuracy stands beside the rate "
        "of always giving the most frequent answer. What is in this bundle is the mean of the models whose "
        "out-of-fold predictions these are; it has not itself been tested on further donors."
    )


def _data(candidates: Mapping[Target, Candidate]) -> str:
    lines = []
    for target, candidate in candidates.items():
        provenance, evidence = candidate.evidence.provenance, candidate.evidence
        lines.append(
            f"- `{target}`: cohort `{provenance.cohort}`, {evidence.recordings} recordings of {evidence.donors} donors "
            f"({', '.join(provenance.sources)}). {candidate.cohort.description}"
        )
    return (
        "## Evaluation data\n\n" + "\n".join(lines) + "\n\nTested fold by fold under protocol "
        f"`{candidates['cry'].evidence.provenance.protocol}`, which keeps each donor on one side.\n\n"
        "## Training data\n\nThe same cohorts: each model was trained on the recordings of the other folds. Labels "
        "of `reason` are the parents' guesses in the app; those of `cry` are the choice of the curators, by ear."
    )


def _analysis(target: Target, candidate: Candidate, operating: Mapping[str, float]) -> str:
    evidence = candidate.evidence
    rows = [
        f"| {METRIC_NAMES.get(name, name)} | {_with_interval(interval)} |"
        for name, interval in evidence.metrics.items()
    ]
    points = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in operating.items())
    return (
        f"### {QUESTIONS[target]} (`{target}`)\n\n**Verdict: {evidence.verdict}.** {evidence.sentence}.\n\n"
        "| metric | value | 95 % interval |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        f"| most frequent class (compare accuracy) | {evidence.majority_rate:.3f} | |\n\n"
        + _recalls(evidence)
        + _beside(candidate)
        + f"\n\nAt the bundle's threshold of 0.5, out of fold: {points}."
    )


def _with_interval(interval: Interval) -> str:
    return f"{interval.value:.3f} | {interval.low:.3f} to {interval.high:.3f}"


def _recalls(evidence: Evidence) -> str:
    rows = []
    for name, of_class in evidence.per_class.items():
        recall = _with_interval(of_class.recall) if of_class.recall else "| "
        rows.append(f"| {name} | {of_class.recordings} | {of_class.donors} | {recall} |")
    return "| class | recordings | donors | recall | 95 % interval |\n|---|---|---|---|---|\n" + "\n".join(rows)


def _beside(candidate: Candidate) -> str:
    """Return what was known of other models on the cohort when the bundle was made, the best first."""
    others = [other for other in candidate.others if other.provenance.keeps_donors_apart]
    if not others:
        return ""
    rows = []
    for evidence in sorted([candidate.evidence, *others], key=lambda evidence: -evidence.headline.value):
        provenance = evidence.provenance
        name = f"**{provenance.model}**, in this bundle" if evidence is candidate.evidence else provenance.model
        rows.append(f"| {name} | {provenance.protocol} | {_with_interval(evidence.headline)} | {evidence.verdict} |")
    metric = METRIC_NAMES[candidate.evidence.headline_metric]
    return (
        "\n\nBeside other models on the same recordings, all on donors that they were not trained on, as `make run` "
        "and `make study` had evaluated them when this bundle was made. Rows are not tested against each other: see "
        "the report `model_comparison`.\n\n"
        f"| model | folds | {metric} | 95 % interval | verdict |\n|---|---|---|---|---|\n" + "\n".join(rows)
    )


_ETHICS = (
    "## Ethical considerations\n\n"
    "Recordings are of infants, who could not agree; parents donated them. A voice, a room and an installation's "
    "number can identify a family: recordings are not part of this bundle, nor are donors' identifiers. Families who "
    "install such an app are not all families. A wrong reason given with confidence can delay help; hence abstention."
)


def _caveats(candidates: Mapping[Target, Candidate]) -> str:
    lines = [
        "- A probability holds for recordings like the donated ones, in which cries are as frequent as there; "
        "where cries are rarer, more of what is called a cry is none.",
        "- Recordings that the models were trained on are predicted better than new ones. Judge by the figures "
        "above, not by predictions of the corpus.",
        "- An infant younger or older than the donors', another microphone, and another country are untested.",
    ]
    reason = candidates.get("reason")
    if reason is not None and reason.cohort.processing == "cleaned":
        lines.append(
            "- The models of reasons were trained on recordings that curators cut and cleaned; raw recordings differ."
        )
    return "## Caveats and recommendations\n\n" + "\n".join(lines)
