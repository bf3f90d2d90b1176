"""How often a shortcut is said to explain a weak real effect, and a label of loudness alone to be told by ear.

Belongs here: both rates, by the rule of before and that of now. Does not: probes, conditional evidence and the verdict,
which are those of evidence itself.

*Weak effects*: the corpus' labels are dealt to its donors, so that nothing the manifest tells goes with them, and a
made-up run scores each recording by its label and by chance, some of it the donor's. *Loudness*: labels are made of
recordings' levels, with or without noise, and models on real features are trained on them.

The rule of before asked for an interval above chance (its permutation test agreed with that), knew platform, metadata
and donor as shortcuts, and took for an explanation whatever did better than chance by any amount.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.evaluation.comparisons import draw
from cry_pipeline.evaluation.conditional import conditionals_of
from cry_pipeline.evaluation.findings import ROUNDING, Interval, Shortcut
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.nulls import conditional_null
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.probes import DONOR_IDENTITY, donor_identity, probe_shortcuts
from cry_pipeline.evaluation.records import verdict_of
from cry_pipeline.evaluation.refitting import refit
from cry_pipeline.evaluation.resampling import deal_labels
from cry_pipeline.evaluation.told import told_of
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.side_by_side import in_processes
from cry_pipeline_tests.simulations.installation import Installation, Seen
from cry_pipeline_tests.simulations.rates import Figure, Rate

PROBES: dict[Shortcut, str] = {
    "platform": "platform_only",
    "metadata": "metadata_only",
    "loudness": "loudness_only",
    "all metadata": "all_metadata",
}
OF_BEFORE: tuple[Shortcut, ...] = ("platform", "metadata", DONOR_IDENTITY)
HEARERS = ("svm_covariance", "logistic_regression")
MADE_OF = ("level", "neither loud nor quiet", "silence")
NOISES = {0.0: "", 1.5: " and noise", 3.5: " and much noise"}
"""Standard deviations of the noise added to a level of standard deviation 1, and what they are called."""
SHOWN_BY_PROBES = 2.0
"""With more noise the probes are often not above chance themselves, and nothing is promised."""
EFFECT = 0.3
"""Mean difference of scores of standard deviation 1: an AUC of about .585."""
WEAK, LOUD = 300, 8
"""Cases of a weak effect, and of each label of loudness with each model."""
RESAMPLES = 200
EXPLAINED, ABOVE = "explained by a shortcut", "above chance"
PROMISED = 0.05


class Setting(NamedTuple):
    """What all cases share: the cohort, how folds are made, and what each model sees."""

    cohort: pd.DataFrame
    classes: tuple[str, ...]
    protocol: ProtocolSpec
    told: pd.DataFrame
    codes: NDArray[np.int64]
    donors: NDArray
    models: Mapping[str, Seen]


class Case(NamedTuple):
    """What a run came to."""

    auc: float
    before: str
    now: str


def simulate(installation: Installation) -> "Iterator[Rate | Figure]":
    """Yield the rates of weak effects, then those of labels made of loudness."""
    setting, workers = _setting(installation), installation.workers
    yield from _explained([case for _, case in in_processes(partial(_weak, setting), range(WEAK), workers)])
    for made_of, noise in product(MADE_OF, NOISES):
        tasks = list(product(HEARERS, range(LOUD)))
        cases = [case for _, case in in_processes(partial(_loud, setting, made_of, noise), tasks, workers)]
        promised = PROMISED if noise < SHOWN_BY_PROBES else None
        yield from _heard(f"a label of {made_of}{NOISES[noise]}", cases, promised)


def _explained(cases: list[Case]) -> "Iterator[Rate | Figure]":
    what = f"a weak effect without a shortcut (AUC {np.mean([case.auc for case in cases]):.3f})"
    for rule, at_most in (("before", None), ("now", PROMISED)):
        verdicts = [getattr(case, rule) for case in cases]
        found = verdicts.count(EXPLAINED)
        yield Rate(f"{what}: explained by a shortcut, {rule}", found, len(verdicts), at_most)
        yield Rate(f"{what}: the same of those that are shown, {rule}", found, found + verdicts.count(ABOVE))


def _heard(what: str, cases: list[Case], promised: float | None) -> "Iterator[Rate | Figure]":
    what += f" (AUC {np.mean([case.auc for case in cases]):.3f})"
    for rule, at_most in (("before", None), ("now", promised)):
        found = [getattr(case, rule) for case in cases].count(ABOVE)
        yield Rate(f"{what}: above chance, {rule}", found, len(cases), at_most)


def _setting(installation: Installation) -> Setting:
    names = {model: f"curation_{model}_donor_grouped" for model in (*HEARERS, *PROBES.values())}
    models = {model: installation.seen(name) for model, name in names.items()}
    first, workspace = models[HEARERS[0]], installation.workspace
    told = told_of(workspace.recordings(), first.table)
    return Setting(first.table, first.classes, first.protocol, told, first.codes, first.donors, models)


def _weak(setting: Setting, case: int) -> Case:
    rng = np.random.default_rng([case, 1])
    codes = next(deal_labels(setting.codes, setting.donors, permutations=1, seed=case))[0]
    _, donor = np.unique(setting.donors, return_inverse=True)
    scores = EFFECT * codes + 0.6 * rng.standard_normal(donor.max() + 1)[donor] + 0.8 * rng.standard_normal(len(codes))
    folds, _ = _folds(setting, codes, case)
    return _judged(setting, codes, folds, expit(scores), case)


def _loud(setting: Setting, made_of: str, noise: float, task: tuple[str, int]) -> Case:
    model, case = task
    rng = np.random.default_rng([case, 2])
    level = _standardised(setting.told["silent_fraction" if made_of == "silence" else "rms_dbfs"])
    if made_of == "neither loud nor quiet":
        level = _standardised(-np.abs(level - rng.uniform(-0.5, 0.5)))
    level = level + noise * rng.standard_normal(len(level))
    codes = (level > np.quantile(level, rng.uniform(0.35, 0.65))).astype(np.int64)
    folds, numbers = _folds(setting, codes, case)
    seen = setting.models[model]
    return _judged(setting, codes, folds, refit(seen.spec, seen.values, codes, numbers, classes=2)[0, :, 1], case)


def _standardised(values: Any) -> Floats:
    """Return the ranks of ``values``, of mean 0 and standard deviation 1."""
    return (rankdata(values) / (len(values) + 1) - 0.5) * np.sqrt(12)


def _folds(setting: Setting, codes: NDArray[np.int64], case: int) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    cohort = setting.cohort.assign(label=np.array(setting.classes)[codes])
    folds = make_folds(cohort, setting.protocol.model_copy(update={"seed": case}))
    return folds, folds.sort_values("recording_id")["fold"].to_numpy(np.int64)[None]


def _judged(setting: Setting, codes: NDArray[np.int64], folds: pd.DataFrame, scores: Floats, case: int) -> Case:
    """Return the verdicts on a run that answers ``scores [recordings]``, by the rule of before and that of now."""
    run, numbers = _rows(setting, folds, scores, "run"), folds["fold"].to_numpy(np.int64)[None]
    probes: dict[Shortcut, OutOfFold] = {}
    for name, model in PROBES.items():
        seen = setting.models[model]
        answers = refit(seen.spec, seen.values, codes, numbers, classes=2, seed=case)
        probes[name] = _rows(setting, folds, answers[0, :, 1], name)
    given: dict[str, int] = {"resamples": RESAMPLES, "seed": case}
    found = probe_shortcuts(run, probes, folds, "auc", **given)
    p_value = conditional_null(run, permutations=RESAMPLES, seed=case)["auc"].p_value
    before = [run, *({**probes, DONOR_IDENTITY: donor_identity(run, folds)}[name] for name in OF_BEFORE)]
    drawn = draw(before, "auc", between="models", **given)
    headline = drawn.interval(0)
    now = verdict_of(headline, 0.5, p_value, found)
    if now == ABOVE and any(probe.above_chance for probe in found):  # else conditional evidence changes nothing
        now = verdict_of(headline, 0.5, p_value, found, conditionals_of(run, setting.told, **given))
    return Case(headline.value, _before(headline, drawn), now)


def _before(headline: Interval, drawn: Any) -> str:
    if headline.low <= 0.5 + ROUNDING:
        return "not distinguishable from chance"
    tied = [
        drawn.interval(place).value > 0.5 + ROUNDING and not drawn.difference(0, place).better
        for place in range(1, len(drawn.names))
    ]
    return EXPLAINED if any(tied) else ABOVE


def _rows(setting: Setting, folds: pd.DataFrame, scores: Floats, name: str) -> OutOfFold:
    other, positive = setting.classes
    table = folds.sort_values("recording_id", ignore_index=True)
    return out_of_fold(
        table.assign(**{f"p_{other}": 1 - scores, f"p_{positive}": scores}), folds, setting.classes, name
    )
