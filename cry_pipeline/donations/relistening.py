"""How far the corpus' labels can be trusted, and how good the champion is by labels that two agree on.

Belongs here: drawing a blind sample from the champion's out-of-fold predictions, and what follows from listening to it.
Does not: the draw itself and its file (samples.py), asking people (review.py), and the page (reports/relistening.py).

Half of a sample was drawn because the models contradict it. To take it as it is would make the labels look worse than
they are, and the champion better: who removes just the labels that it contradicts has helped it. So every number is
weighted by how many recordings one stands for (Horvitz & Thompson 1952, doi 10.1080/01621459.1952.10483446). The order
in which people hear a sample is random, so that what was heard of each half so far stands for all of that half.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.artefacts import read_table
from cry_pipeline.catalog import Catalog
from cry_pipeline.catalog.donations import JudgementsSpec
from cry_pipeline.corpus.judgements import counting, judgements_digest, latest_of_each, now, read_judgements
from cry_pipeline.digests import digest
from cry_pipeline.donations.agreement import between_people, interval_of, kappa_interval
from cry_pipeline.donations.samples import Drawn, Sample, SampleError, draw, next_name, read_samples, write_sample
from cry_pipeline.evaluation.calibration import calibrated
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.kept_runs import KeptRun, current_runs, kept_runs
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES
from cry_pipeline.inference.champions import ChampionError, history
from cry_pipeline.reports.heard import Finding, Heard, Listened, Other, Relistened
from cry_pipeline.secret import keyed_hash, read_secret
from cry_pipeline.settings import Settings
from cry_pipeline.training.fold_folders import DamagedFoldError

EACH = 30
"""Recordings of each half of a sample."""
HEARD = ("cry", "not_cry")
"""What a label can be held against; what is unusable is counted and left out."""


class _Told(NamedTuple):
    """A sample's recordings that have a verdict that counts, in one order: all are arrays [recordings]."""

    ids: NDArray
    donors: NDArray
    whys: NDArray
    labels: NDArray
    verdicts: NDArray
    weights: Floats
    scores: Floats

    def only(self, these: "NDArray[np.bool_]") -> "_Told":
        return _Told(*(values[these] for values in self))


def draw_sample(settings: Settings, catalog: Catalog, each: int = EACH, name: str | None = None) -> Sample:
    """Draw a blind sample of the corpus and keep it: ``each`` recordings of both halves.

    What the models say is the mean of the calibrated out-of-fold probabilities of the champion and of those candidates
    of the catalog that were trained on the same recordings. The draw is by a keyed hash of the name: the same name
    again would be the same sample.

    Raises:
        SampleError: there is no champion with a run to draw from, or there are not enough recordings.
    """
    run, rows = _champion(settings)
    manifest = read_table(settings.manifests / "recordings.parquet")[["recording_id", "root"]]
    inside = np.isin(rows.recording_ids, manifest.loc[manifest["root"] == "corpus", "recording_id"].to_numpy(str))
    scores, labels = _scores(run, rows, settings, catalog)[inside], np.array(rows.classes)[rows.labels][inside]
    ids, donors = rows.recording_ids[inside], rows.donors[inside]
    name = name or next_name(settings.judgements)
    seed = int(keyed_hash(read_secret(settings.secret), "sample", name)[:8], 16)
    drawn = [
        Drawn(recording_id=ids[at], donor=donors[at], label=labels[at], score=float(scores[at]), why=why, weight=weight)
        for at, why, weight in draw(list(labels), scores, each, seed)
    ]
    sample = Sample(
        name=name,
        at=now(),
        experiment=run.experiment,
        run=run.digest,
        seed=seed,
        recordings=len(ids),
        drawn=tuple(sorted(drawn, key=lambda one: one.recording_id)),
    )
    write_sample(settings.judgements, sample)
    return sample


def listened(settings: Settings, catalog: Catalog, *, resamples: int = RESAMPLES) -> Listened:
    """Return what listening has shown so far; the look says of every sample what keeps a number from being there.

    Raises:
        DamagedFileError: a judgement or a sample is not what was written.
    """
    judgements, samples = read_judgements(settings.judgements), read_samples(settings.judgements)
    manifest = read_table(settings.manifests / "recordings.parquet")[["recording_id", "donor", "source"]]
    synthetic = bool((manifest["source"] == "synthetic").any())
    judged = manifest[manifest["recording_id"].isin(judgements["recording_id"])]
    donors = dict(zip(judged["recording_id"], judged["donor"], strict=True))
    made_of = {
        "judgements": judgements_digest(judgements),
        "samples": {name: sample.model_dump(mode="json") for name, sample in samples.items()},
        "donors": donors,
        "synthetic": synthetic,
        "champion": _made_of(settings),
    }

    def look() -> Heard:
        usual, rows, faults = None, None, []
        if samples:
            try:
                run, rows = _champion(settings)
                at = run.evidence.headline
                usual = Finding("auc", "the champion, by the labels, on all recordings", at, *_size(rows))
            except (SampleError, EvidenceError, DamagedFoldError) as error:
                faults.append(str(error))
        rule = catalog.donations.judgements
        found = [relistened(each, judgements, rule, usual, rows, resamples) for each in samples.values()]
        pairs = between_people(judgements, donors, resamples=resamples)
        return Heard(found[::-1], pairs, synthetic, faults)

    return Listened(digest(**made_of), look)


def _made_of(settings: Settings) -> dict[str, str] | str | None:
    """Return experiment and run of the champion that tells a cry; why nobody knows; None where there is none."""
    try:
        events = history(settings.models)
    except ChampionError as error:
        return str(error)
    return events[-1].runs.get("cry") if events else None


def _champion(settings: Settings) -> tuple[KeptRun, OutOfFold]:
    """Return the run that the champion was made of, and its out-of-fold predictions."""
    made_of = _made_of(settings)
    if made_of is None:
        raise SampleError("there is no champion that tells a cry, and so no predictions: `cry-pipeline run` makes one")
    if isinstance(made_of, str):
        raise SampleError(made_of)
    for run in kept_runs(made_of["experiment"], settings.evidence, settings.runs):
        if run.digest == made_of["run"]:
            return run, run.rows()
    raise SampleError(
        f"the champion's run {made_of['run'][:16]} of {made_of['experiment']} is no longer there: `cry-pipeline run` "
        "makes it again"
    )


def _scores(run: KeptRun, rows: OutOfFold, settings: Settings, catalog: Catalog) -> Floats:
    """Return the mean calibrated probability of a cry [recordings], of the champion and its fellows."""
    of_all = [rows]
    for other in current_runs(catalog.champion.cry, settings.evidence, settings.runs):
        if other.digest != run.digest:
            fellow = other.rows()
            if np.array_equal(fellow.recording_ids, rows.recording_ids):
                of_all.append(fellow)
    return np.mean([calibrated(each).probabilities[:, :, 1].mean(axis=0) for each in of_all], axis=0)


def relistened(
    sample: Sample,
    judgements: pd.DataFrame,
    rule: JudgementsSpec,
    usual: Finding | None,
    rows: OutOfFold | None,
    resamples: int = RESAMPLES,
) -> Relistened:
    """Return what came of listening to ``sample``.

    Args:
        sample: that was drawn.
        judgements: JUDGEMENTS.
        rule: which of several people's judgements counts.
        usual: the champion's headline, to stand beside; None where there is none.
        rows: the champion's out-of-fold predictions; None where they cannot be read.
        resamples: of the donors.
    """
    drawn = pd.DataFrame([each.model_dump() for each in sample.drawn])
    words = judgements[judgements["recording_id"].isin(drawn["recording_id"])]
    said = drawn.merge(counting(words, rule)[["recording_id", "verdict"]], on="recording_id")
    counts = said.groupby(["why", "label", "verdict"]).size()
    told = _told(sample, said)
    other = told.labels != told.verdicts
    return Relistened(
        name=sample.name,
        day=f"{sample.at:%Y-%m-%d}",
        experiment=sample.experiment,
        of=sample.recordings,
        drawn=len(drawn),
        heard=len(said),
        people=sorted(set(latest_of_each(words)["who"])),
        counts=[(*map(str, names), int(count)) for names, count in counts.items()],  # type: ignore[misc]
        findings=[
            *([usual] if usual else ()),
            *(_by_score(told, rows, resamples) if rows else ()),
            *_by_ear(told, resamples),
        ],
        others=[
            Other(
                str(each.ids[0]), str(each.labels[0]), str(each.verdicts[0]), str(each.whys[0]), float(each.scores[0])
            )
            for each in (told.only(np.arange(len(other)) == at) for at in np.flatnonzero(other))
        ],
    )


def _told(sample: Sample, said: pd.DataFrame) -> _Told:
    """Return what was heard of a sample; what was heard of a half so far stands for the whole half."""
    weights = np.zeros(len(said))
    for why in ("contradicted", "random"):
        here, half = (said["why"] == why).to_numpy(), [each.weight for each in sample.drawn if each.why == why]
        weights[here] = sum(half) / max(1, here.sum())
    ids, donors, whys, labels, verdicts = (
        said[name].to_numpy(str) for name in ("recording_id", "donor", "why", "label", "verdict")
    )
    told = _Told(ids, donors, whys, labels, verdicts, weights, said["score"].to_numpy(np.float64))
    return told.only(np.isin(told.verdicts, HEARD))


def _by_ear(told: _Told, resamples: int) -> list[Finding]:
    """Return what needs no model: κ with the labels, and the share of labels that listeners contradict."""
    found = []
    for what, these in (
        ("labels and listeners, all recordings", np.ones(len(told.ids), dtype=bool)),
        ("labels and listeners, the random half alone", told.whys == "random"),
    ):
        half = told.only(these)
        at = kappa_interval(half.labels, half.verdicts, half.donors, half.weights, resamples=resamples)
        found.append(Finding("kappa", what, at, len(half.ids), len(set(half.donors))))
    other = (told.labels != told.verdicts).astype(np.float64)

    def share(drawn: Floats) -> Floats:
        weights = drawn * told.weights
        return weights @ other / np.where(weights.sum(axis=1) > 0, weights.sum(axis=1), np.nan)

    at = interval_of(share, told.donors, resamples=resamples)
    return [*found, Finding("share", "labels that listeners contradict", at, *_size(told))]


def _by_score(told: _Told, rows: OutOfFold, resamples: int) -> list[Finding]:
    """Return the champion's AUC by labels, by what listeners heard, and where both agree; and the listeners' own."""
    place = {recording: at for at, recording in enumerate(rows.recording_ids)}
    known = told.only(np.array([recording in place for recording in told.ids], dtype=bool))
    at = [place[recording] for recording in known.ids]
    heard = replace(
        rows,
        recording_ids=known.ids,
        donors=known.donors,
        labels=(known.labels == rows.classes[1]).astype(np.int64),
        folds=rows.folds[:, at],
        probabilities=rows.probabilities[:, at],
        slopes=rows.slopes[:, at],
        intercepts=rows.intercepts[:, at],
    )
    verdicts = (known.verdicts == rows.classes[1]).astype(np.int64)
    agree = verdicts == heard.labels

    def champion(labels: NDArray, these: NDArray) -> Interval | None:
        by = replace(heard, labels=labels)
        return interval_of(
            lambda drawn: measure(by, drawn * known.weights * these, ("auc",))["auc"], known.donors, resamples=resamples
        )

    every, size = np.ones(len(agree), dtype=bool), _size(known)
    both = known.only(agree)
    positive = heard.labels == 1
    listeners = interval_of(
        lambda drawn: auc(positive, verdicts.astype(np.float64), drawn * known.weights),
        known.donors,
        resamples=resamples,
    )
    return [
        Finding("auc", "the champion, by the labels, on what was heard", champion(heard.labels, every), *size),
        Finding("auc", "the champion, where labels and listeners agree", champion(heard.labels, agree), *_size(both)),
        Finding("auc", "the champion, by what listeners heard", champion(verdicts, every), *size),
        Finding("auc", "the listeners themselves, by the labels", listeners, *size),
    ]


def _size(rows: "OutOfFold | _Told") -> tuple[int, int]:
    return len(rows.donors), len(set(rows.donors))
