"""An ensemble is the mean of its members, each fitted as it would be alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from cry_pipeline.catalog import Catalog, CatalogError, EnsembleSpec, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.catalog.models import with_members
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training.datasets import Rows, TrainingDataError, rows_of
from cry_pipeline.training.ensemble import Ensemble, member_seed
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.registry import implementation, load_model, revision_of
from cry_pipeline_tests.training.made_up import CLASSES

SETTINGS = FitSettings(seed=3)


@pytest.fixture
def rows(folds: pd.DataFrame, features: FeatureRows) -> Rows:
    return rows_of(folds, CLASSES, features)


def ensemble(catalog: Catalog, *members: str, average: str = "logit") -> EnsembleSpec:
    spec = EnsembleSpec.model_validate({"kind": "ensemble", "members": members, "average": average})
    filled = with_members({**catalog.models, "all": spec})["all"]
    assert isinstance(filled, EnsembleSpec)
    return filled


@pytest.mark.parametrize("average", ["logit", "probability"])
def test_answers_are_the_mean_of_the_members_answers_at_their_slopes_also_from_the_file(
    catalog: Catalog, rows: Rows, average: str, tmp_path: Path
) -> None:
    spec = ensemble(catalog, "logistic_regression", "svm", "lfeb_attention_lstm", average=average)
    fitted = Ensemble(implementation).fit(spec, rows, SETTINGS)
    logs = []
    for number, member in enumerate(spec.specs):
        alone = replace(SETTINGS, seed=member_seed(3, number))
        own = implementation(member.kind).fit(member, rows, alone)
        logs.append(np.log(own.predict_probabilities(rows)) * own.recalibration.slope)
        assert own.recalibration.slope == fitted.notes["members"][number]["slope"]
    if average == "logit":
        expected = softmax(np.mean([log - np.log(np.exp(log).sum(1, keepdims=True)) for log in logs], axis=0), axis=1)
    else:
        expected = np.mean([softmax(log, axis=1) for log in logs], axis=0)
    np.testing.assert_allclose(fitted.predict_probabilities(rows), expected, atol=1e-6)
    fitted.save(tmp_path / "checkpoint.safetensors")
    restored, classes = load_model(tmp_path / "checkpoint.safetensors")
    np.testing.assert_allclose(restored.predict_probabilities(rows.without_labels()), expected, atol=1e-6)
    assert (classes, restored.recalibration) == (CLASSES, fitted.recalibration)


def test_what_calibrates_rests_on_rows_that_the_network_held_out_too(catalog: Catalog, rows: Rows) -> None:
    network = Ensemble(implementation).fit(ensemble(catalog, "svm", "lfeb_attention_lstm"), rows, SETTINGS)
    assert network.held_out is not None
    assert network.members[1].held_out is not None
    assert network.held_out.recording_ids == sorted(network.members[1].held_out.recording_ids)
    machines = Ensemble(implementation).fit(ensemble(catalog, "svm", "logistic_regression"), rows, SETTINGS)
    assert machines.held_out is not None
    assert machines.held_out.recording_ids == rows.recording_ids


def test_a_member_named_twice_is_fitted_with_two_seeds(catalog: Catalog, rows: Rows) -> None:
    fitted = Ensemble(implementation).fit(
        ensemble(catalog, "lfeb_attention_lstm", "lfeb_attention_lstm"), rows, SETTINGS
    )
    first, second = (member.predict_probabilities(rows) for member in fitted.members)
    assert np.abs(first - second).max() > 1e-3


def test_a_members_parameters_are_part_of_the_ensembles_digest(catalog: Catalog) -> None:
    before = ensemble(catalog, "svm", "random_forest")
    other = catalog.models["svm"].model_copy(update={"penalty": 7.0})
    changed = ensemble(catalog.model_copy(update={"models": {**catalog.models, "svm": other}}), "svm", "random_forest")
    described = catalog.models["svm"].model_copy(update={"description": "in other words"})
    same = ensemble(catalog.model_copy(update={"models": {**catalog.models, "svm": described}}), "svm", "random_forest")
    assert before.digest == same.digest != changed.digest
    assert revision_of(catalog.models["svm"]) in revision_of(before)


@pytest.mark.parametrize("member", ["absent", "other"])
def test_a_member_that_is_not_a_single_model_is_refused_with_the_allowed(tmp_path: Path, member: str) -> None:
    for section in SECTIONS:
        (tmp_path / f"{section}.yaml").write_text((PACKAGED / f"{section}.yaml").read_text())
    with (tmp_path / "models.yaml").open("a") as file:
        file.write(f"\nmine:\n  kind: ensemble\n  members: [svm, {member}]\n")
        file.write("\nother:\n  kind: ensemble\n  members: [svm, svm]\n")
    with pytest.raises(CatalogError, match=rf"models\.yaml.*mine\.members: '{member}'.*allowed: .*random_forest"):
        load_catalog(tmp_path)


def test_an_ensemble_that_was_not_loaded_with_its_catalog_is_refused(rows: Rows) -> None:
    with pytest.raises(TrainingDataError, match="does not know its members' specs"):
        Ensemble(implementation).fit(EnsembleSpec(kind="ensemble", members=("svm", "svm")), rows, SETTINGS)
