"""Re-listening: what a blind sample says of all labels, and of the champion, is not biased by how it was drawn."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cry_pipeline.catalog.donations import JudgementsSpec
from cry_pipeline.corpus.judgements import JUDGEMENTS, read_judgements
from cry_pipeline.digests import sha256_of
from cry_pipeline.donations.relistening import relistened
from cry_pipeline.donations.samples import Drawn, Sample, SampleError, draw, next_name, read_samples, write_sample
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.reports.heard import Relistened

LATEST = JudgementsSpec()
CLASSES = ("not_cry", "cry")
NOON = datetime(2015, 5, 1, 12, tzinfo=UTC)


class Corpus:
    """400 recordings of 160 donors: what is true, the labels (6 % wrong), what listeners hear (4 % wrong), scores."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.count, self.rng = 400, rng
        self.donors = np.array([f"donor {number}" for number in rng.integers(0, 160, self.count)])
        self.ids = np.array(sorted(sha256_of(str(number).encode()) for number in range(self.count)))
        truth = rng.random(self.count) < 0.45
        self.labels = (truth ^ (rng.random(self.count) < 0.06)).astype(np.int64)
        self.heard = (truth ^ (rng.random(self.count) < 0.04)).astype(np.int64)
        self.scores = 1 / (1 + np.exp(-(rng.normal(0, 1, self.count) + np.where(truth, 1.6, -1.6))))
        folds = np.unique(self.donors, return_inverse=True)[1] % 5
        both = np.stack([1 - self.scores, self.scores], axis=1)
        ones = np.ones((1, self.count))
        self.rows = OutOfFold(
            self.ids, self.donors, self.labels, folds[None], both[None], CLASSES, ones, np.zeros((*ones.shape, 2))
        )

    def auc(self, labels: NDArray, these: NDArray | None = None) -> float:
        by = OutOfFold(**{**self.rows.__dict__, "labels": labels})
        return float(measure(by, None if these is None else these.astype(float), ("auc",))["auc"])

    def sample(self, each: int, seed: int) -> Sample:
        names = np.array(CLASSES)[self.labels]
        drawn = [
            Drawn(
                recording_id=self.ids[at],
                donor=self.donors[at],
                label=names[at],
                score=self.scores[at],
                why=why,
                weight=weight,
            )
            for at, why, weight in draw(list(names), self.scores, each, seed)
        ]
        return Sample(name="s", at=NOON, experiment="e", run="r", seed=seed, recordings=self.count, drawn=tuple(drawn))

    def listen(self, sample: Sample, share: float = 1.0) -> pd.DataFrame:
        chosen = [each for each in sample.drawn if self.rng.random() < share]
        at = {recording: place for place, recording in enumerate(self.ids)}
        rows = [
            {
                "judgement": sha256_of(each.recording_id.encode()),
                "recording_id": each.recording_id,
                "verdict": CLASSES[self.heard[at[each.recording_id]]],
                "who": "Ann",
                "at": NOON,
                "heard_s": 1.0,
                "origin": "page",
                "sample": sample.name,
            }
            for each in chosen
        ]
        return JUDGEMENTS.table_of(rows)


def values_of(result: Relistened) -> dict[str, float]:
    return {f"{finding.measure} of {finding.what}": finding.at.value for finding in result.findings if finding.at}


AGREED, BY_EAR = "auc of the champion, where labels and listeners agree", "auc of the champion, by what listeners heard"
LABELS, SHARE = "auc of the champion, by the labels, on what was heard", "share of labels that listeners contradict"


def test_a_sample_speaks_for_all_recordings_though_half_of_it_was_searched_for() -> None:
    corpus = Corpus()
    agree = corpus.labels == corpus.heard
    truth = {
        LABELS: corpus.auc(corpus.labels),
        AGREED: corpus.auc(corpus.labels, agree),
        BY_EAR: corpus.auc(corpus.heard),
        SHARE: 1 - agree.mean(),
    }
    found: dict[str, list[float]] = {name: [] for name in truth}
    plain = []
    for seed in range(40):
        sample = corpus.sample(50, seed)
        # One who hears two thirds of it, so far: what is left out is left out at random.
        values = values_of(relistened(sample, corpus.listen(sample, 0.67), LATEST, None, corpus.rows, resamples=2))
        for name, of in found.items():
            of.append(values[name])
        inside = np.isin(corpus.ids, [each.recording_id for each in sample.drawn])
        plain.append(corpus.auc(corpus.labels, inside))
    for name, of in found.items():
        error = np.mean(of) - truth[name]
        assert abs(error) < 3 * np.std(of) / np.sqrt(len(of)) + 0.006, (name, np.mean(of), truth[name])
    assert np.mean(plain) < truth[LABELS] - 0.15, "without weights the search alone makes the champion look bad"


def test_leaving_out_only_what_the_champion_contradicts_would_flatter_it() -> None:
    """Why the agreed labels are weighted: of a sample without a random half they would say nothing but good."""
    corpus = Corpus()
    sample = corpus.sample(50, 0)
    contradicted = np.isin(corpus.ids, [each.recording_id for each in sample.drawn if each.why == "contradicted"])
    wrong = contradicted & (corpus.labels != corpus.heard)
    flattered = corpus.auc(np.where(wrong, corpus.heard, corpus.labels))
    assert flattered > corpus.auc(corpus.heard) + 0.02


def test_the_intervals_hold_the_value_of_all_recordings() -> None:
    corpus, inside, draws = Corpus(1), 0, 30
    truth = corpus.auc(corpus.heard)
    for seed in range(draws):
        sample = corpus.sample(60, seed)
        result = relistened(sample, corpus.listen(sample), LATEST, None, corpus.rows, resamples=60)
        (at,) = (finding.at for finding in result.findings if f"auc of {finding.what}" == BY_EAR)
        assert at is not None
        inside += at.low <= truth <= at.high
    assert inside >= 0.85 * draws


def test_before_anybody_has_listened_nothing_is_claimed(tmp_path: Path) -> None:
    corpus = Corpus()
    result = relistened(corpus.sample(20, 0), read_judgements(tmp_path), LATEST, None, corpus.rows)
    assert (result.heard, result.drawn, list(result.others)) == (0, 40, [])
    assert [finding.at for finding in result.findings] == [None] * 7


def test_what_is_unusable_is_counted_and_left_out() -> None:
    corpus = Corpus()
    sample = corpus.sample(20, 0)
    said = corpus.listen(sample)
    said.loc[said.index[:5], "verdict"] = "unusable"
    result = relistened(sample, said, LATEST, None, corpus.rows, resamples=20)
    assert result.heard == 40
    assert sum(count for *_, verdict, count in result.counts if verdict == "unusable") == 5
    assert {finding.recordings for finding in result.findings if finding.measure == "share"} == {35}
    assert "unusable" not in {other.heard for other in result.others}


def test_recordings_that_the_champion_no_longer_predicts_are_left_out_of_its_numbers() -> None:
    corpus = Corpus()
    sample = corpus.sample(20, 0)
    kept = ~np.isin(corpus.ids, [each.recording_id for each in sample.drawn[:7]])
    rows = OutOfFold(
        corpus.ids[kept],
        corpus.donors[kept],
        corpus.labels[kept],
        corpus.rows.folds[:, kept],
        corpus.rows.probabilities[:, kept],
        CLASSES,
        corpus.rows.slopes[:, kept],
        corpus.rows.intercepts[:, kept],
    )
    result = relistened(sample, corpus.listen(sample), LATEST, None, rows, resamples=20)
    assert {f.recordings for f in result.findings if f"auc of {f.what}" == LABELS} == {33}
    assert {f.recordings for f in result.findings if f.measure == "share"} == {40}


def test_a_draw_has_two_halves_of_other_recordings_and_the_same_seed_draws_the_same() -> None:
    labels = ["cry", "not_cry"] * 50
    scores = np.linspace(0, 1, 100)
    drawn = draw(labels, scores, 10, 3)
    contradicted = {at for at, why, _ in drawn if why == "contradicted"}
    # A cry of score 0, no cry of score 1, and so on inwards.
    assert contradicted == {0, 2, 4, 6, 8, 99, 97, 95, 93, 91}
    at_random = [at for at, why, _ in drawn if why == "random"]
    assert len(set(at_random)) == 10
    assert contradicted.isdisjoint(at_random)
    assert {weight for *_, why, weight in [(0, *each[1:]) for each in drawn] if why == "random"} == {9.0}
    assert sum(weight for *_, weight in drawn) == 100, "together they stand for all"
    assert draw(labels, scores, 10, 3) == drawn != draw(labels, scores, 10, 4)
    with pytest.raises(SampleError, match="ask for fewer"):
        draw(labels, scores, 51, 0)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    sample = Corpus().sample(5, 0)
    write_sample(tmp_path, sample)
    assert read_samples(tmp_path) == {"s": sample}
    with pytest.raises(SampleError, match="another --name"):
        write_sample(tmp_path, sample)
    name = next_name(tmp_path)
    write_sample(tmp_path, sample.model_copy(update={"name": name}))
    assert next_name(tmp_path) == f"{name}-2"
    assert read_judgements(tmp_path).empty, "a sample is no judgement"
