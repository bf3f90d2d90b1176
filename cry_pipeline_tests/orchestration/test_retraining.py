"""Training by itself: not before enough is new, at once where code changed, as often as the setting says."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.inference.champions import history, promotion, switch
from cry_pipeline.orchestration.retraining import is_enough
from cry_pipeline_tests.orchestration.installations import Installation
from cry_pipeline_tests.orchestration.test_automation import MONDAY, UPLOADS_RUN, Week, donate, ingest

UPLOADS, DETECTOR = "uploads_logistic_regression_donor_grouped", "curation_svm_covariance_donor_hashed"
OTHER_DONOR = "1d8f14a9-6999-485b-97a2-913c1cbf099c"


def donate_again(installation: Installation, corpus: Path) -> None:
    """Put a cry by another donor into the inbox, and the first one once more."""
    first = donate(installation, corpus)
    other = first.with_name(OTHER_DONOR + first.name[len(OTHER_DONOR) :])
    other.write_bytes(first.read_bytes() + b"\x00\x00\x00\x0cfreemore")


def asking_for(donors: int, installation: Installation) -> Catalog:
    """The installation's catalog, less or more patient."""
    catalog = load_catalog(installation.settings.catalog)
    retraining = catalog.donations.retraining.model_copy(update={"min_new_donors": donors})
    return catalog.model_copy(update={"donations": catalog.donations.model_copy(update={"retraining": retraining})})


def test_a_run_is_worth_training_once_enough_donors_are_new_and_not_before(installation, tiny_corpus):
    settings = installation.settings
    assert not is_enough(UPLOADS, asking_for(1, installation), settings), "nothing is new"
    donate(installation, tiny_corpus)
    ingest(installation)
    assert is_enough(UPLOADS, asking_for(1, installation), settings)
    assert not is_enough(UPLOADS, asking_for(2, installation), settings)
    # What nobody has judged teaches the detector nothing.
    assert not is_enough(DETECTOR, asking_for(1, installation), settings)


@pytest.mark.parametrize(
    ("section", "entries"),
    [
        ("models", {"logistic_regression": {"inverse_regularisation": 0.5}}),
        ("protocols", {"donor_grouped": {"seed": 3}}),
        ("cohorts", {"uploads": {"min_duration_s": 2.0}}),
        ("feature_sets", {"mel64_8k": {"mels": 32}}),
    ],
)
def test_what_is_written_otherwise_is_trained_however_little_is_new(installation, section: str, entries: Any):
    installation.edit_catalog(section, **entries)
    assert is_enough(UPLOADS, asking_for(50, installation), installation.settings)


def test_after_a_refusal_what_counts_is_still_what_the_champion_was_trained_on(installation):
    """Its run is of fewer donors: that of a challenger, trained since, is not what is in use."""
    settings, catalog = installation.settings, asking_for(1, installation)
    assert not is_enough(DETECTOR, catalog, settings)
    now = history(settings.models)[-1]
    elsewhere: Any = {"cry": now.runs["cry"] | {"run": "0" * 64}}
    switch(settings.models, promotion("f" * 64, now.digest, elsewhere, []))
    assert is_enough(DETECTOR, catalog, settings), "a champion's run that is gone cannot be asked"
    assert not is_enough(UPLOADS, catalog, settings), "of another cohort"


def test_little_that_is_new_is_not_trained_on_until_there_is_more(installation, tiny_corpus):
    path = Path(installation.settings.catalog) / "donations.yaml"
    path.write_text("retraining: {min_new_donors: 2}\n")
    week = Week(installation)
    week.look(MONDAY - dt.timedelta(days=1))
    donate(installation, tiny_corpus)
    ingest(installation)
    assert not any(name.startswith(("runs/", "evidence/", "models/")) for name in week.look(MONDAY))
    donate_again(installation, tiny_corpus)
    assert ingest(installation).success
    assert UPLOADS_RUN in week.look(MONDAY + dt.timedelta(hours=1)), "the tick of before still counts"


@pytest.mark.parametrize(("setting", "status"), [("off", "STOPPED"), ("weekly", "RUNNING"), ("daily", "RUNNING")])
def test_the_setting_turns_it_on(first_run, setting: str, status: str):
    of = Installation(first_run[0].settings.model_copy(update={"retraining": setting}))
    (sensor,) = [each for each in of.definitions.sensors or [] if each.name == "retraining"]
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status.name == status


def test_the_setting_says_how_often(installation, tiny_corpus):
    settings, tuesday = installation.settings, MONDAY + dt.timedelta(days=1)
    weeks = {
        setting: Week(Installation(settings.model_copy(update={"retraining": setting})))
        for setting in ("weekly", "daily")
    }
    for week in weeks.values():
        week.look(MONDAY)
    donate(installation, tiny_corpus)
    ingest(installation)
    assert {setting for setting, week in weeks.items() if UPLOADS_RUN in week.look(tuesday)} == {"daily"}
