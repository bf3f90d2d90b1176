"""The model card of a bundle, in the headings of Mitchell et al., "Model Cards for Model Reporting" (2019).

Belongs here: words and tables, all figures taken from the evidence. Does not: computing figures.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from cry_pipeline.corpus.synthetic.confusers import CONTROL, KINDS
from cry_pipeline.evaluation.findings import Interval, Subgroup
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.evaluation.subgroups import FEWEST_DONORS
from cry_pipeline.inference.candidates import Candidate
from cry_pipeline.inference.confusers import Asked
from cry_pipeline.quoting import shown
from cry_pipeline.targets import QUESTIONS, Target
from cry_pipeline.version import __version__

ABOVE_CHANCE = "above chance"


def model_card(
    candidates: Mapping[Target, Candidate],
    operating: Mapping[Target, Mapping[str, float]],
    digest: str,
    asked: Asked | None = None,
) -> str:
    """Return the card, Markdown.

    Args:
        candidates: the runs that the bundle is made of, by target.
        operating: by target, what is right out of fold at the bundle's threshold, by name.
        digest: of the bundle.
        asked: what the bundle says of made-up sounds that are no cries; None where it was asked about none.
    """
    synthetic = any(candidate.evidence.synthetic for candidate in candidates.values())
    warning = "> **SYNTHETIC DATA**: trained on generated recordings; nothing here says anything about babies.\n\n"
    sections = [
        f"# Model card: infant-cry champion {digest[:16]}\n\n{warning if synthetic else ''}"
        "> **Not for diagnosis.** Not a medical device; no decision about a child may rest on it.",
        _details(candidates, digest),
        _intended_use(candidates),
        _factors(candidates),
        _metrics(candidates),
        _data(candidates),
        "## Quantitative analyses\n\n"
        + "\n\n".join(_analysis(target, candidate, operating[target]) for target, candidate in candidates.items()),
        _confusers(asked, operating["cry"], candidates["cry"].evidence.verdict),
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
    recalibrations = candidate.recalibrations
    if not any(own.fitted for own in recalibrations):
        return "Probabilities are not calibrated."
    slopes = ", ".join(f"{own.slope:.2f}" for own in recalibrations)
    if len(candidate.cohort.classes) > 2:
        return f"Calibrated by slopes {slopes}, and intercepts for the classes' frequencies."
    intercepts = ", ".join(f"{own.intercepts[1]:+.2f}" for own in recalibrations)
    return f"Calibrated by slopes {slopes} and intercepts {intercepts}."


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


def _factors(candidates: Mapping[Target, Candidate]) -> str:
    """Return what may matter, and how the model fares in each group that has donors enough."""
    parts = [
        "## Factors\n\n"
        "Platform of the app (its codec differs), age band and gender of the baby as the parents stated them, the room "
        "and the phone. The donor is an app installation, not a baby."
    ]
    for target, candidate in candidates.items():
        evidence = candidate.evidence
        rows = [
            f"| {_group(group)} | {group.donors} | {_with_interval(group.headline)} |"
            for group in evidence.subgroups
            if group.headline
        ]
        few = f"at least {FEWEST_DONORS} donors of every class"
        if not rows:
            parts.append(f"`{target}`: no group has {few}, so that results are not broken down.")
            continue
        said = ", ".join(_group(group) for group in evidence.subgroups if group.differs) or "none"
        parts.append(
            f"`{target}`, groups with {few}. Shown to fare otherwise than the others, by Holm: {said}.\n\n"
            f"| group | donors | {METRIC_NAMES[evidence.headline_metric]} | 95 % interval |\n|---|---|---|---|\n"
            + "\n".join(rows)
        )
    return "\n\n".join(parts)


def _group(group: Subgroup) -> str:
    """Return a group's name; it may be a stranger's, and must end neither its code nor its cell."""
    return f"{group.of.replace('_', ' ')} `{shown(group.name).replace('`', '?').replace('|', '?')}`"


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
    given = evidence.calibrated or evidence.calibration.as_predicted
    metrics = evidence.metrics | {"brier": given.brier, "log_loss": given.log_loss}
    rows = [f"| {METRIC_NAMES.get(name, name)} | {_with_interval(interval)} |" for name, interval in metrics.items()]
    rows += [
        f"| {what} at {100 * point.recall:.0f} % recall | {_with_interval(at)} |"
        for point in (evidence.decisions.at_recall if evidence.decisions else ())
        for what, at in (("specificity", point.specificity), ("recordings that nobody has to hear", point.unheard))
    ]
    calibrated = "calibrated" if evidence.calibrated else "not calibrated"
    held = f"mean {evidence.calibration.of} {given.said.value:.3f}, share that is true {given.came_true.value:.3f}"
    points = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in operating.items())
    return (
        f"### {QUESTIONS[target]} (`{target}`)\n\n**Verdict: {evidence.verdict}.** {evidence.sentence}.\n\n"
        "| metric | value | 95 % interval |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        f"| most frequent class (compare accuracy) | {evidence.majority_rate:.3f} | |\n\n"
        + _recalls(evidence)
        + _beside(candidate)
        + f"\n\nBrier score and log-loss are of the probabilities as this bundle gives them, {calibrated}: {held}. At "
        f"the bundle's threshold of 0.5, out of fold: {points}."
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


def _confusers(asked: Asked | None, operating: Mapping[str, float], verdict: str) -> str:
    """Return what the bundle took made-up sounds for: beside the figures above, and in none of them."""
    if asked is None:
        return "### Known confusers\n\nThis bundle was asked about no sounds but recordings of the corpus."
    usual = 1 - operating.get("specificity", 0.5)
    named = ", ".join(f"{KINDS[kind].words} ({asked.share(kind).value:.2f})" for kind in asked.confusing(usual))
    known = (
        f"**Known confusers**, each with the share that was called a cry: {named}. That is clearly more often than the "
        f"{usual:.2f} of the corpus' own recordings without a cry (out of fold). Where such sounds are heard, a person "
        "has to listen."
        if named
        else f"None of them is clearly called a cry more often than the {usual:.2f} of the corpus' own recordings "
        "without a cry (out of fold)."
    )
    if verdict != ABOVE_CHANCE:
        known += (
            f" The bundle answers nothing, because its evidence is *{verdict}*: this is of its probabilities alone."
        )
    rows = [
        f"| {KINDS[kind].words}{' (a control: these should be)' if kind == CONTROL else ''} | {len(said)} | "
        f"{_with_interval(asked.share(kind))} |"
        for kind, said in asked.probabilities.items()
    ]
    return (
        "### Known confusers\n\nMade-up sounds, by formulas and not recorded, through the phones and codecs of the "
        "corpus' apps: a test of robustness, which is part of no figure above. Intervals (Wilson) are for more sounds "
        f"of the same formula; real cats, sirens and adults may do otherwise.\n\n{known}\n\n"
        "| sounds | asked | called a cry | 95 % interval |\n|---|---|---|---|\n" + "\n".join(rows)
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
