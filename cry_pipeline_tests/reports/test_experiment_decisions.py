"""What an experiment's page says for decisions and of subgroups: the evidence's own numbers, and what is not known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.told import TOLD
from cry_pipeline.reports.experiment_page import GROUPS, experiment_html
from cry_pipeline.reports.figures import decisions as decision_plots
from cry_pipeline.reports.figures import experiments as experiment_plots
from cry_pipeline.reports.figures import intervals as plots
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.run_details import RunDetails
from cry_pipeline.reports.site import SITE
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of

CATALOG = load_catalog()
CRY = ("not_cry", "cry")


@pytest.fixture(scope="module")
def made(predict, provenance) -> Callable[..., Evidence]:
    """Makes evidence of recordings half of which came from each phone, with names that are not of this program."""

    def make(classes: tuple[str, ...] = CRY, effect: float = 2.0, donors: int = 120) -> Evidence:
        predictions, folds = predict(classes, effect=effect, donors=donors)
        ids = predictions["recording_id"].unique()
        half = predictions.drop_duplicates("donor").set_index("donor").index.get_indexer(predictions["donor"]) // 2 % 2
        told = pd.DataFrame(dict.fromkeys(TOLD, 1.0), index=pd.Index(ids)).astype(object)
        told["platform"] = np.where(half, "ios", "<b>android")
        told["age_band"] = ["over 2 years" if at < 9 else "0-4 weeks" for at in range(len(ids))]
        told[["gender", "app_version"]] = None
        name = (
            "curation_logistic_regression_donor_grouped"
            if classes == CRY
            else "cleaned_logistic_regression_donor_grouped"
        )
        of = CATALOG.experiments[name].model_dump(include={"cohort", "feature_set", "model", "protocol"})
        target = CATALOG.cohorts[of["cohort"]].target
        given = {"folds": folds, "provenance": provenance(name, **of), "told": told, "resamples": 100}
        return evaluate(predictions, classes, target, **given)

    return make


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plots, experiment_plots, decision_plots):
        monkeypatch.setattr(module, "png", lambda made: bytes(24))


def test_the_page_shows_what_a_recall_takes_and_for_whom_it_holds(made) -> None:
    found = made()
    text = Page(experiment_html(CATALOG, found, RunDetails({}))).text
    assert found.decisions
    for point in found.decisions.at_recall:
        at, kept = point.specificity, point.unheard
        row = f"{100 * point.recall:.0f} % {at.value:.3f} {at.low:.3f} to {at.high:.3f} {kept.value:.3f}"
        assert f"{row} {kept.low:.3f} to {kept.high:.3f} {1 - point.recall:.3f}" in text
    (low, high), *_ = found.decisions.gaining
    assert f"at thresholds from {low:.2f} to {high:.2f}" in text
    ios = next(group for group in found.subgroups if group.name == "ios")
    assert ios.headline
    assert ios.difference
    assert f"ios {ios.recordings} {ios.donors} {ios.headline.value:.3f}" in text
    assert f"{ios.difference.value:+.3f} {ios.difference.low:+.3f} to {ios.difference.high:+.3f}" in text
    assert "over 2 years 9 3 too few donors" in text
    assert "<b>android 180 60" in text
    assert "nothing here is a reason to use it" not in text


def test_every_column_that_makes_groups_has_a_word() -> None:
    from cry_pipeline.evaluation.subgroups import COLUMNS

    assert set(GROUPS) == set(COLUMNS)


def test_of_what_knows_nothing_no_gain_is_claimed(made) -> None:
    text = Page(experiment_html(CATALOG, made(effect=0.0), RunDetails({}))).text
    assert "This model is not distinguishable from chance: nothing here is a reason to use it." in text
    assert "At no threshold is it shown that anything is gained" in text


def test_of_rare_classes_it_is_said_that_there_are_too_few_donors(made) -> None:
    reasons = CATALOG.cohorts["cleaned"].classes
    text = Page(experiment_html(CATALOG, made(reasons, donors=60), RunDetails({}))).text
    assert "For decisions" not in text
    assert (
        "In no group does every class have so many donors, so that no number is given. Of hungry there are 12" in text
    )


def test_a_group_that_fares_otherwise_is_named(made) -> None:
    found = made()
    off = found.subgroups[0].model_copy(
        update={"p_adjusted": 0.01, "difference": found.headline.model_copy(update={"value": 0.1, "low": 0.05})}
    )
    text = Page(experiment_html(CATALOG, found.model_copy(update={"subgroups": (off,)}), RunDetails({}))).text
    assert f"Shown to fare otherwise than the others: {off.name} (+0.100)." in text
    assert "No group is shown to fare otherwise" not in text


def test_the_first_page_says_how_many_nobody_has_to_hear_if_cries_are_found(made) -> None:
    found = made()
    assert found.decisions
    at = next(point.unheard for point in found.decisions.at_recall if point.recall == 0.95)
    assert (
        f"not heard, if 95 % of the cries are found {at.value:.3f}"
        in Page(html_of(SITE, Material(CATALOG, [found]))).text
    )
    assert "not heard, if 95 %" not in Page(html_of(SITE, Material(CATALOG, [made(effect=0.0)]))).text
