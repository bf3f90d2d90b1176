"""How much data: the page says what its table holds, of runs that asked for it, and what it does not know."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.learning_curve import LearningCurve, Point
from cry_pipeline.evaluation.power import DESIGNS, Curve, Power
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.orchestration.shown import how_much_of
from cry_pipeline.reports import power_page
from cry_pipeline.reports.figures import power as plots
from cry_pipeline.reports.power_page import HOW_MUCH, HOW_MUCH_DATA, HowMuch, learner_names, reason_names, sentence_of
from cry_pipeline.reports.report import Features, Material
from cry_pipeline.reports.site import SITE
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
REASON, CRY = "cleaned_logistic_regression_donor_grouped", "curation_logistic_regression_donor_grouped"
SHARES = ((0.02, 0.1, 0.3), (0.1, 0.5, 0.9), (0.3, 0.95, 1.0))


def at(value: float) -> Interval:
    return Interval(value=value, low=value - 0.01, high=value + 0.01)


POWER = Power(
    cohort="cleaned",
    experiment=REASON,
    recordings=457,
    donors=221,
    by_class={"hungry": (382, 205), "burping": (1, 1)},
    tried=3,
    chance=0.2,
    asked=(100, 1600, 25600),
    corpora=400,
    curves=tuple(
        Curve(
            design=design,
            uar=uar,
            power=shares,
            power_tried=(0.0, *shares[:2]),
            now=0.25,
            needed=needed,
            needed_tried=None,
        )
        for design, many in zip(DESIGNS, ((None, 3600, 840), (6000, 520, 130)), strict=True)
        for uar, shares, needed in zip((0.22, 0.25, 0.3), SHARES, many, strict=True)
    ),
)
CURVE = LearningCurve(
    experiment=CRY,
    model="logistic_regression",
    points=tuple(
        Point(share=share, donors=229 * share, recordings=575 * share, auc=at(auc), draws=10 if share < 1 else 1)
        for share, auc in ((0.25, 0.895), (0.5, 0.909), (1.0, 0.918))
    ),
    doublings=(at(0.014), at(0.009)),
    trend=at(0.0115),
)
FOUND = HowMuch(POWER, (CURVE,), ("another has too few donors",))


def page_of(found: HowMuch) -> Page:
    html = html_of(replace(HOW_MUCH_DATA, content=lambda material: found), Material(CATALOG, []))
    links_of(html)
    return Page(html)


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def test_the_page_says_how_many_donors_it_would_take() -> None:
    text = page_of(FOUND).text
    assert "with a UAR of 0.25 tells reasons better than guessing would take about 3,600 donors" in text
    assert "about 520 if every reason came from as many; there are 221." in text
    assert "0.22 as donated until now more than 25,600 more than 25,600 0.25" in text
    assert "0.30 balanced: as many of each reason 130 more than 25,600 0.25" in text
    assert "burping: 1 recording of 1 donor" in text
    assert "needed, best of 3" in text
    assert "With the 221 donors of now, a model as good as that would be called above chance 25 times in 100." in text
    assert "an effect of this size would mostly be missed" in text
    assert "ask for the rare reasons" in text


def test_what_is_not_so_is_not_said() -> None:
    curves = tuple(curve.model_copy(update={"now": 0.9, "needed": 200}) for curve in POWER.curves)
    text = page_of(HowMuch(POWER.model_copy(update={"curves": curves}), ())).text
    assert "would mostly be missed" not in text
    assert "ask for the rare reasons" not in text


def test_the_page_says_what_the_last_doubling_brought() -> None:
    text = page_of(FOUND).text
    assert "from 114 to 229, brought +0.009 of AUC (95 % interval -0.001 to +0.019), to 0.918." in text
    assert "No gain from that doubling is shown." in text
    assert "another has too few donors" in text
    shown = CURVE.model_copy(update={"doublings": (at(0.03), at(0.02))})
    assert "Each doubling brought less than the one before" in page_of(HowMuch(None, (shown,))).text
    growing = CURVE.model_copy(update={"doublings": (at(0.02), at(0.03))})
    assert "may bring about as much" in page_of(HowMuch(None, (growing,))).text


def test_where_nothing_was_evaluated_the_page_says_so() -> None:
    text = page_of(HowMuch(None, ())).text
    assert "No model that listens for the reason has been evaluated" in text
    assert "No detector that is trained in a moment has been evaluated" in text
    assert sentence_of(HOW_MUCH_DATA.table(HowMuch(None, ()))) is None


def test_the_table_holds_every_number_and_is_what_its_schema_says() -> None:
    table = HOW_MUCH.conforming(HOW_MUCH_DATA.table(FOUND))
    assert table["part"].value_counts().to_dict() == {
        "power": 36,
        "donors needed": 12,
        "AUC": 3,
        "gain of a doubling": 2,
        "gain by the trend": 1,
    }
    powers = table[table["part"] == "power"]
    assert (powers["low"] <= powers["value"]).all()
    assert (powers["high"] >= powers["value"]).all()
    sentence = sentence_of(table.sample(frac=1, random_state=0))
    assert sentence == sentence_of(table), "the order of rows says nothing"


def test_a_need_beyond_what_was_asked_is_said_in_the_sentence_too() -> None:
    curves = tuple(curve.model_copy(update={"needed": None}) for curve in POWER.curves)
    table = HOW_MUCH_DATA.table(HowMuch(POWER.model_copy(update={"curves": curves}), ()))
    assert "would take more than 25,600 donors" in str(sentence_of(table))


def test_who_is_asked_listens_and_keeps_donors_apart() -> None:
    assert REASON in reason_names(CATALOG)
    models = {CATALOG.experiments[name].model for name in reason_names(CATALOG)}
    assert not models & {"majority", "metadata_only", "platform_only"}
    assert not [name for name in reason_names(CATALOG) if "clip" in name or "augment" in name]
    learners = learner_names(CATALOG)
    assert CRY in learners
    assert "curation_svm_covariance_donor_grouped" in learners
    assert len({CATALOG.experiments[name].model for name in learners}) == len(learners)


def test_it_is_made_of_the_runs_and_of_what_models_read(
    run_of: Callable, evidence: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons, cries = run_of(("hungry", "tired", "burping"), name=REASON), run_of(effect=2.0, donors=40, name=CRY)
    worse = run_of(("hungry", "tired", "burping"), seed=1, name="worse")
    values = cries.probabilities[0, :, 1:] + np.random.default_rng(0).normal(size=(len(cries.labels), 5))

    def read(ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        assert list(ids) == cries.recording_ids.tolist()
        return FeatureRows(tuple(ids), np.arange(len(ids) + 1), {kinds[0]: values.astype(np.float32)})

    found = [
        evidence(REASON, cohort="cleaned", classes=("hungry", "tired", "burping"), effect=1.0),
        evidence("worse", cohort="cleaned", classes=("hungry", "tired", "burping"), effect=-1.0),
        evidence(CRY),
    ]
    stores: Any = {"mel64_8k": SimpleNamespace(read=read)}
    nowhere: Any = None
    material = Material(
        CATALOG,
        found,
        runs={REASON: reasons, CRY: cries, "worse": worse},
        features=Features(stores, nowhere, nowhere),
    )
    monkeypatch.setattr(power_page, "reason_names", lambda catalog: [REASON, "worse"])
    content = power_page.how_much(material)
    assert content.power is not None
    assert content.power.experiment == REASON, "the best of those that were tried"
    assert [curve.model for curve in content.curves] == ["logistic_regression"]
    assert content.curves[0].points[-1].recordings == 96
    assert HOW_MUCH.conforming(HOW_MUCH_DATA.table(content)) is not None
    html_of(replace(HOW_MUCH_DATA, content=lambda _: content), material)


def test_the_first_page_says_how_many_donors_it_would_take_where_that_was_computed(tmp_path: Path) -> None:
    workspace: Any = SimpleNamespace(settings=SimpleNamespace(reports=tmp_path))
    assert how_much_of(workspace) is None
    path = HOW_MUCH_DATA.table_path(tmp_path)
    HOW_MUCH.write(path, HOW_MUCH_DATA.table(FOUND), "0" * 64)
    sentence = how_much_of(workspace)
    assert sentence == sentence_of(HOW_MUCH_DATA.table(FOUND))
    said, unsaid = (Material(CATALOG, [], how_much=words) for words in (sentence, None))
    assert f"{sentence} How this was computed" in Page(html_of(SITE, said)).text
    assert "How this was computed" not in Page(html_of(SITE, unsaid)).text
    assert SITE.key(said) != SITE.key(unsaid)
    path.write_bytes(path.read_bytes()[:-1])
    assert how_much_of(workspace) is None, "a damaged table stops no other page"


@pytest.mark.parametrize("narrow", [True, False])
def test_the_figures_draw_what_they_are_given(narrow: bool) -> None:
    assert plots.powers(POWER, narrow=narrow)
    assert plots.learning([CURVE] * 5, narrow=narrow)
