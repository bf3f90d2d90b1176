"""Contradicted labels: planted ones come first, each model counts once, what knows nothing is not asked."""

from dataclasses import replace

import numpy as np
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.contradictions import COLUMNS, asked, contradicted
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import Evidence


def named(found: Evidence, experiment: str, model: str, verdict: str = "above chance") -> Evidence:
    provenance = found.provenance.model_copy(update={"experiment": experiment, "model": model})
    return found.model_copy(update={"provenance": provenance, "verdict": verdict})


@pytest.fixture(scope="module")
def found(evidence) -> Evidence:
    return evidence("one", effect=1.5)


def test_labels_that_were_turned_round_come_first(found, run_of) -> None:
    sure = run_of(effect=6.0)
    turned = np.arange(0, len(sure.labels), 17)
    labels = sure.labels.copy()
    labels[turned] = 1 - labels[turned]
    (one,) = contradicted([named(found, "svm", "svm")], {"svm": replace(sure, labels=labels)})
    rows = one.rows
    assert list(rows.columns) == COLUMNS
    assert set(rows["recording_id"][: len(turned)]) == set(sure.recording_ids[turned])
    assert (rows["label"] != rows["says"]).all()
    assert rows["probability"].is_monotonic_increasing
    assert rows["probability"].max() < 0.5
    assert sum(map(sum, one.by_probability)) == sum(one.recordings.values()) == len(labels)
    assert sum(sum(counts[:10]) for counts in one.by_probability) == len(rows)


def test_a_model_that_was_trained_more_often_has_one_voice(found, run_of) -> None:
    first, second = run_of(effect=1.0), run_of(effect=1.0, seed=1)
    other = replace(second, donors=first.donors, labels=first.labels)
    results = [named(found, "a", "svm"), named(found, "b", "svm"), named(found, "c", "forest")]
    (one,) = contradicted(results, {"a": first, "b": first, "c": other})
    assert one.models == ("svm", "forest")
    means = [rows.probabilities.mean(axis=0)[np.arange(len(rows.labels)), rows.labels] for rows in (first, other)]
    mean = dict(zip(first.recording_ids, np.mean(means, axis=0), strict=True))
    against = dict(zip(first.recording_ids, (np.array(means) < 0.5).sum(axis=0), strict=True))
    for row in one.rows.to_dict("records"):
        assert row["probability"] == pytest.approx(mean[row["recording_id"]])
        assert row["against"] == against[row["recording_id"]]
    assert len(one.rows) == sum(value < 0.5 for value in mean.values())


def test_what_is_not_above_chance_contradicts_nobody(found, run_of) -> None:
    rows = run_of(effect=0.0)
    assert contradicted([named(found, "a", "svm", "not distinguishable from chance")], {"a": rows}) == []
    assert contradicted([named(found, "a", "svm")], {}) == [], "a run that is damaged"


def test_runs_of_other_recordings_than_most_are_left_out(found, run_of) -> None:
    def part(rows: OutOfFold) -> OutOfFold:
        return replace(
            rows,
            recording_ids=rows.recording_ids[6:],
            donors=rows.donors[6:],
            labels=rows.labels[6:],
            folds=rows.folds[:, 6:],
            probabilities=rows.probabilities[:, 6:],
            slopes=rows.slopes[:, 6:],
            intercepts=rows.intercepts[:, 6:],
        )

    rows = run_of(effect=1.0)
    results = [named(found, "a", "svm"), named(found, "b", "forest"), named(found, "c", "network")]
    (one,) = contradicted(results, {"a": part(rows), "b": rows, "c": rows})
    assert one.models == ("forest", "network")


def test_models_of_cries_that_listen_are_asked_by_donor() -> None:
    catalog = load_catalog()
    names = asked(catalog)
    assert "curation_svm_covariance_donor_grouped" in names
    assert not {"curation_metadata_only_donor_grouped", "cleaned_logistic_regression_donor_grouped"} & set(names)
    assert all(catalog.protocols[catalog.experiments[name].protocol].keeps_donors_apart for name in names)
