"""An experiment's page and the site: the evidence's own numbers, what stands beside them, links that lead somewhere."""

import hashlib
import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cry_pipeline.artefacts import write_json
from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.families import in_families
from cry_pipeline.evaluation.findings import CaseMix, Conditional, Interval, Null
from cry_pipeline.evaluation.nulls import TRAINING_WIDENING
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import METRIC_NAMES, NOT_RUN, Evidence
from cry_pipeline.reports.experiment_page import experiment_html, probe_words, write_experiments
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.figures import experiments as experiment_plots
from cry_pipeline.reports.figures import intervals as plots
from cry_pipeline.reports.hybrid_ablation import HYBRID_ABLATION
from cry_pipeline.reports.leaderboard import LEADERBOARD, NO_TWIN
from cry_pipeline.reports.leakage_ladder import LEAKAGE_LADDER
from cry_pipeline.reports.model_comparison import MODEL_COMPARISON
from cry_pipeline.reports.pages import PAGES
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.run_details import Mistake, RunDetails, read_details, surest_mistakes
from cry_pipeline.reports.site import SITE, answers
from cry_pipeline.training.fold_folders import DamagedFoldError
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
REASONS = CATALOG.cohorts["cleaned"].classes
GROUPED, CLIPS = "cleaned_logistic_regression_donor_grouped", "cleaned_logistic_regression_clip_stratified"
MAJORITY = "cleaned_majority_donor_grouped"
REPORTS = (LEADERBOARD, MODEL_COMPARISON, LEAKAGE_LADDER, HYBRID_ABLATION, SITE)
"""Those that are made from evidence alone."""


@pytest.fixture(scope="module")
def made(predict, provenance) -> dict[str, tuple[Evidence, OutOfFold]]:
    """A weak donor-grouped run, its strong clip-level twin, and one that does not listen."""
    found = {}
    for name, effect in ((GROUPED, 0.5), (CLIPS, 2.0), (MAJORITY, 0.0)):
        of = CATALOG.experiments[name]
        apart = CATALOG.protocols[of.protocol].keeps_donors_apart
        predictions, folds = predict(REASONS, effect=effect)
        if not apart:
            for table in (predictions, folds):
                table["fold"] = table.index % 5
        names = of.model_dump(include={"cohort", "feature_set", "model", "protocol"})
        given = provenance(name, **names, keeps_donors_apart=apart)
        evidence = evaluate(predictions, REASONS, "reason", folds=folds, provenance=given, resamples=100)
        found[name] = evidence, out_of_fold(predictions, folds, REASONS, name)
    return found


@pytest.fixture(scope="module")
def details() -> RunDetails:
    loss = pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [2, 1, 0.5], "validation_loss": [2, 1.5, 1.8]})
    mistake = Mistake(
        recording_id="ab12" * 16,
        copy="3",
        label="hungry",
        answer="belly_pain",
        probability=0.875,
        true_probability=0.0625,
        source="donateacry_ios",
        file="<b>1.caf",
        donor="feedbeef",
        duration_s=6.9,
        mel=np.linspace(-80, 0, 64)[None, :].repeat(50, axis=0),
    )
    lineage = {
        "made_from": {"spec": {"model": {"kind": "logistic_regression", "nested": {"a": [1, 2]}}}, "inputs": {}},
        "fitted": {"device": "cpu"},
        "environment": {
            "python": "3.11.7",
            "libraries": {"torch": "2.13.0"},
            "git": {"commit": "c0ffee", "modified": True},
        },
    }
    return RunDetails(lineage, {"0-0": loss, "0-1": loss}, {"0-0": 1, "0-1": 1}, (mistake,), 12.0)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plots, experiment_plots, comparison_plots):
        monkeypatch.setattr(module, "png", lambda made: bytes(24))


def test_page_stands_alone_in_both_themes(made, details) -> None:
    text = experiment_html(CATALOG, made[GROUPED][0], details)
    assert {f"../{page}" for page in PAGES} <= links_of(text)
    assert "prefers-color-scheme: dark" in text
    attributes = Page(text).attributes
    dark = [given["srcset"] for tag, given in attributes if tag == "source"]
    light = [given["src"] for (before, _), (tag, given) in pairwise(attributes) if (before, tag) == ("source", "img")]
    assert len(light) == 6, "null, confusion, recall, reliability, abstention, learning curves"
    assert len(dark) == 8, "recall for small screens, too, in both themes"
    assert len({*dark, *light}) == 14
    assert len(text) < 1_500_000


@pytest.mark.usefixtures("without_figures")
def test_numbers_are_those_of_the_evidence(made, details) -> None:
    found = made[GROUPED][0]
    text = Page(experiment_html(CATALOG, found, details)).text
    assert found.sentence in text
    for name, at in found.metrics.items():
        assert f"{METRIC_NAMES[name]} {at.value:.3f} {at.low:.3f} to {at.high:.3f}" in text
    for name, held in found.per_class.items():
        assert held.recall
        assert (
            f"{name} {held.recall.value:.3f} {held.recall.low:.3f} to {held.recall.high:.3f} {held.recordings}" in text
        )
    assert f"accuracy of the majority class {found.majority_rate:.3f}" in text
    assert f"guessing {found.chance:.3f}" in text
    assert f"p = {found.null.p_value:.3f}." in text
    assert f"1 in 20 of them is above {found.null.high:.3f}" in text
    held = found.calibration.as_predicted
    assert f"expected calibration error {held.ece.value:.3f} {held.ece.low:.3f} to {held.ece.high:.3f}" in text
    (probe,) = found.probes
    assert f"{probe.comparison.difference:+.3f} {probe.comparison.low:+.3f} to {probe.comparison.high:+.3f}" in text
    assert "Not run: platform, metadata, loudness, all metadata." in text


@pytest.mark.usefixtures("without_figures")
def test_the_page_says_whether_luck_was_trained_and_what_intervals_are_about(made, details) -> None:
    found = made[GROUPED][0]

    def text(null: Null, **changes: Any) -> str:
        changed = found.model_copy(update={"nulls": {**found.nulls, "uar": null}, **changes})
        return Page(experiment_html(CATALOG, changed, details)).text

    null = found.null
    slow = text(null)
    assert "The predictions did not change: this model takes too long to train so often." in slow
    assert f"{TRAINING_WIDENING:.1f} times as large" in slow
    assert "of these trained models: what another training would have given is not in them" in slow
    trained = null.model_copy(update={"kind": "retrained", "permutations": 200, "permutations_lost": 7, "fitted": True})
    quick = text(trained)
    assert "200 times" in quick
    assert "the models were trained anew, as for this run. Of 7 exchanges no folds could be made" in quick
    assert "times as large" not in quick
    assert "p is read from a curve" in quick
    tried = found.provenance.model_copy(update={"null": "a" * 64})
    assert "too few of the exchanges left every class on both sides" in text(null, provenance=tried)
    assert "same answer for everybody" in text(null.model_copy(update={"sd": 0.0}))
    assert "by recognising the donors" in Page(experiment_html(CATALOG, made[CLIPS][0], details)).text
    assert "over donors and over trainings: 5 of each model" in text(null, repeats=5)


@pytest.mark.usefixtures("without_figures")
def test_lineage_and_mistakes_are_named(made, details) -> None:
    found = made[GROUPED][0]
    text = Page(experiment_html(CATALOG, found, details)).text
    for words in (
        found.digest,
        found.provenance.run_digest,
        found.provenance.feature_digest,
        "c0ffee, with changes",
        "torch 2.13.0",
        "nested a: 1, 2",
        "hop_samples 128",
        "hungry , taken for belly pain with probability 0.875",
        "ab12" * 16,
        "file <b>1.caf",
        "donateacry_ios; the answer is about its augmented copy 3",
    ):
        assert words in text


@pytest.mark.usefixtures("without_figures")
def test_a_served_page_plays_its_mistakes_and_leads_to_its_assets(made, details) -> None:
    attributes = Page(experiment_html(CATALOG, made[GROUPED][0], details)).attributes
    played = [(given["src"], given["preload"]) for tag, given in attributes if tag == "audio"]
    assert played == [(f"../recordings/{'ab12' * 16}.wav", "none")]
    places = [given["href"] for tag, given in attributes if "assets/" in str(given.get("href"))]
    place = "/".join(CATALOG.place_of(GROUPED))
    assert places == [f"../assets/evidence/{place}", f"../assets/runs/{place}"]
    served = [tag for tag, given in attributes if given.get("class") == "only-served"]
    assert served == ["p", "audio"], "what works only there is shown only there"


@pytest.mark.usefixtures("without_figures")
def test_a_probe_is_said_to_go_by_the_columns_that_it_goes_by(made, details) -> None:
    found = made[GROUPED][0]
    (donors,) = found.probes
    probes = [
        donors.model_copy(update={"name": name, "experiment": f"curation_{name}_only_donor_grouped"})
        for name in ("platform", "metadata")
    ]
    page = experiment_html(CATALOG, found.model_copy(update={"probes": (*probes, donors)}), details)
    text = Page(page).text
    assert "Only gender, age band " in text
    assert "Only source, platform, codec, sample rate, channels, app version " in text
    assert "Only how the same donor's recordings in the training rows are labelled" in text
    narrower = CATALOG.models["platform_only"].model_copy(update={"columns": ("codec",)})
    other = CATALOG.model_copy(update={"models": CATALOG.models | {"platform_only": narrower}})
    assert "Only codec" in probe_words(other, found.model_copy(update={"probes": probes}))["platform"]


@pytest.mark.usefixtures("without_figures")
def test_what_is_told_among_recordings_alike_is_on_the_page_and_how_easy_they_are(made, details) -> None:
    found = made[GROUPED][0]
    fall = Interval(value=-0.04, low=-0.07, high=-0.02)
    told = Conditional(
        alike="loudness", groups=5, pairs=0.152, auc=Interval(value=0.906, low=0.857, high=0.942), difference=fall
    )
    gone = told.model_copy(update={"alike": "platform", "auc": Interval(value=0.512, low=0.461, high=0.57)})
    unsure = gone.model_copy(update={"alike": "age band", "difference": fall.model_copy(update={"high": 0.01})})
    mix = CaseMix(near_silent_dbfs=-60, near_silent={"belly_pain": 0.0978}, loud_dbfs=-40, loud=542, loud_auc=told.auc)
    shown = found.model_copy(update={"conditionals": (gone, unsure, told), "case_mix": mix})
    text = Page(experiment_html(CATALOG, shown, details)).text
    assert "of like loudness (fifths) 15 % 0.906 0.857 to 0.942 -0.040 -0.070 to -0.020 yes" in text
    assert "-0.020 no, and clearly less than among all pairs" in text
    assert "-0.070 to +0.010 not shown" in text
    assert "(below -60 dBFS) are 9.8 % of belly pain. 542 of" in text
    assert "louder than -40 dBFS. Among these alone the AUC is 0.906 0.857 to 0.942 ; among all" in text
    text = Page(experiment_html(CATALOG, found, details)).text
    assert "told apart where they are alike" not in text
    assert "How easy are the recordings?" not in text


def test_a_clip_level_page_shows_its_twin_or_that_there_is_none(made, details) -> None:
    clips, grouped = made[CLIPS][0], made[GROUPED][0]
    page = experiment_html(CATALOG, clips, details, grouped)
    text = Page(page).text
    assert "Not a result about new babies." in text
    assert f"UAR, donors not in training {grouped.headline.value:.3f} {grouped.headline.low:.3f} to" in text
    assert f"{GROUPED}.html" in links_of(page)
    assert NO_TWIN in Page(experiment_html(CATALOG, clips, details)).text
    assert "Not a result about new babies." not in Page(experiment_html(CATALOG, grouped, details)).text


@pytest.mark.usefixtures("without_figures")
def test_what_a_model_does_not_have_is_said(made) -> None:
    text = Page(experiment_html(CATALOG, made[MAJORITY][0], RunDetails({}))).text
    assert "this model is not trained in epochs" in text
    assert "this model does not listen" in text


@pytest.mark.usefixtures("without_figures")
@pytest.mark.usefixtures("without_figures")
def test_a_page_that_was_changed_or_torn_is_made_again(made, details, tmp_path: Path) -> None:
    found, runs = [evidence for evidence, _ in made.values()], {name: rows for name, (_, rows) in made.items()}

    def write() -> None:
        for report in REPORTS:
            report.write(Material(CATALOG, found, runs=runs), tmp_path)
        write_experiments(CATALOG, found, lambda one: details, tmp_path)

    write()
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.html")}
    assert len(first) == len(REPORTS) + len(found)
    for path, content in first.items():
        path.write_bytes(
            content[: len(content) // 2] if "experiments" in path.parts else content.replace(b"0.", b"9.", 1)
        )
    write()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.html")} == first


@pytest.mark.usefixtures("without_figures")
def test_a_damaged_run_is_said_on_its_page_until_it_is_whole_again(made, details, tmp_path: Path) -> None:
    found = [made[GROUPED][0], made[MAJORITY][0]]

    def damaged(one: Evidence) -> RunDetails:
        if one is found[0]:
            raise DamagedFoldError("fold-0-1/history.csv differs from what was written")
        return details

    for expected in ((2, 0), (1, 1)):
        assert write_experiments(CATALOG, found, damaged, tmp_path) == expected, "the other page is then current"
        text = Page((tmp_path / "experiments" / f"{GROUPED}.html").read_text(encoding="utf-8")).text
        assert "fold-0-1/history.csv differs from what was written" in text
        assert "all answers are right" not in text
        assert found[0].sentence in text, "evidence has its own checksum and still stands"
    assert write_experiments(CATALOG, found, lambda one: details, tmp_path) == (1, 1)
    assert "differs from what was written" not in (tmp_path / "experiments" / f"{GROUPED}.html").read_text()


def test_all_links_of_the_site_lead_to_a_page(made, details, tmp_path: Path) -> None:
    found, runs = [evidence for evidence, _ in made.values()], {name: rows for name, (_, rows) in made.items()}
    for report in REPORTS:
        report.write(Material(CATALOG, found, {"not_run_yet": NOT_RUN}, runs), tmp_path)
    write_experiments(CATALOG, found, lambda one: details, tmp_path)
    written = list(tmp_path.rglob("*.html"))
    assert len(written) == len(REPORTS) + 3
    for name in set(PAGES) - {page.name for page in written}:
        (tmp_path / name).touch()  # made from what is not here; its own test follows its links
    for page in written:
        for link in links_of(page.read_text()):
            assert (page.parent / link).resolve().is_file(), (page.name, link)
    for page in ("index.html", "leaderboard.html"):
        assert "not_run_yet not run" in Page((tmp_path / page).read_text()).text


@pytest.mark.usefixtures("without_figures")
def test_pages_are_made_once_and_removed_with_their_evidence(made, details, tmp_path: Path) -> None:
    found = [evidence for evidence, _ in made.values()]
    assert write_experiments(CATALOG, found, lambda one: details, tmp_path) == (3, 0)
    assert write_experiments(CATALOG, found, lambda one: pytest.fail("made again"), tmp_path) == (0, 3)
    (tmp_path / "experiments" / f"{GROUPED}.html").write_text("changed by hand")
    assert write_experiments(CATALOG, found, lambda one: details, tmp_path) == (1, 2)
    assert write_experiments(CATALOG, found[1:], lambda one: details, tmp_path) == (1, 1), "its twin has gone"
    assert not list((tmp_path / "experiments").glob(f"{GROUPED}.*"))


@pytest.mark.usefixtures("without_figures")
def test_only_what_is_told_apart_is_called_calibrated(made, details) -> None:
    plain = made[CLIPS][0]
    straight = plain.calibration.as_predicted.model_copy(update={"brier": Interval(value=0.123, low=0.1, high=0.2)})
    calibration = plain.calibration.model_copy(update={"calibrated": straight})
    said = {}
    for verdict in ("above chance", "not distinguishable from chance"):
        found = plain.model_copy(update={"calibration": calibration, "verdict": verdict})
        said[verdict] = Page(experiment_html(CATALOG, found, details)).text
    brier = plain.calibration.as_predicted.brier
    row = f"Brier score {brier.value:.3f} {brier.low:.3f} to {brier.high:.3f}"
    assert f"{row} 0.123 0.100 to 0.200" in said["above chance"]
    assert "calibrated by a slope and intercepts" in said["above chance"]
    assert row in said["not distinguishable from chance"]
    assert "0.123" not in said["not distinguishable from chance"]
    assert "Not calibrated: the run is not distinguishable from chance" in said["not distinguishable from chance"]
    assert "as predicted calibrated" not in said["not distinguishable from chance"]


def test_surest_mistakes_are_wrong_and_each_recording_once() -> None:
    rows = OutOfFold(
        recording_ids=np.array(["a", "b", "b+1", "c", "d"]),
        donors=np.array(["x"] * 5),
        labels=np.array([0, 0, 0, 1, 0]),
        folds=np.zeros((2, 5), dtype=np.int64),
        probabilities=np.array(
            [[[p, 1 - p] for p in (0.9, 0.2, 0.1, 0.8, 0.4)], [[p, 1 - p] for p in (0.9, 0.2, 0.1, 0.8, 0.8)]]
        ),
        classes=("no", "yes"),
        slopes=np.ones((2, 5)),
        intercepts=np.zeros((2, 5, 2)),
    )
    found = surest_mistakes(rows, most=2)
    assert found[["recording_id", "copy", "label", "answer"]].to_numpy().tolist() == [
        ["b", "1", "no", "yes"],
        ["c", "", "yes", "no"],
    ], "a is right, and so is d on average over repeats"
    assert found["probability"].tolist() == pytest.approx([0.9, 0.8])
    assert found["true_probability"].tolist() == pytest.approx([0.1, 0.2])


def test_histories_are_read_by_fold_in_order(tmp_path: Path) -> None:
    for name, epochs in (("fold-0-2", 2), ("fold-0-10", 3), ("fold-1-0", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text("epoch,train_loss,validation_loss\n" + "0,1.0,2.0\n" * epochs)
        (tmp_path / name / "checkpoint.safetensors").touch()
        repeat, fold = map(int, name.split("-")[1:])
        predictions = pd.DataFrame({"recording_id": ["a"], "repeat": [repeat], "fold": [fold]})
        predictions.to_parquet(tmp_path / name / "predictions.parquet")
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in (tmp_path / name).iterdir()
        }
        lineage = {"digest": "d", "fitted": {"best_epoch": 1} if epochs else {}, "seconds": 2.5, "fold": name}
        write_json(tmp_path / name / "provenance.json", lineage | {"files": files})
    found = read_details(tmp_path, ())
    assert {name: len(history) for name, history in found.histories.items()} == {"0-2": 2, "0-10": 3}
    assert list(found.histories) == ["0-2", "0-10"]
    assert found.best_epochs == {"0-2": 1, "0-10": 1}
    assert found.lineage["fold"] == "fold-0-2"
    assert found.seconds == 7.5
    history = tmp_path / "fold-0-10" / "history.csv"
    history.write_text(history.read_text().replace("2.0", "1.0", 1))
    with pytest.raises(DamagedFoldError, match=r"fold-0-10/history\.csv differs from what was written"):
        read_details(tmp_path, ())
    with pytest.raises(FileNotFoundError, match="holds no fold"):
        read_details(tmp_path / "nowhere", ())


def test_spectrogram_has_low_frequencies_below_and_time_to_the_right() -> None:
    values = np.full((600, 32), -80.0)
    values[400:, :8] = 0.0
    image = np.asarray(Image.open(BytesIO(experiment_plots.spectrogram(values))).convert("L"), dtype=float)
    assert image.shape == (32, 200)
    assert image[-8:, 134:].min() > 200
    assert image[:24].max() < 20
    assert image[:, :133].max() < 20


def test_the_first_page_says_of_each_other_page_once_what_it_is_for(made) -> None:
    text = html_of(SITE, Material(CATALOG, [made[GROUPED][0]]))
    listed = text[text.index('<h2 id="pages">') :]
    assert sorted(re.findall(r'<li><a href="(.*?)"', listed[: listed.index("</ul>")])) == sorted(
        set(PAGES) - {"index.html"}
    )


def test_overview_answers_with_the_best_that_listens_on_unseen_donors(made) -> None:
    found = [evidence for evidence, _ in made.values()]
    (answer,) = answers(CATALOG, found)
    assert answer.found.provenance.experiment == GROUPED, "neither the clip-level run nor the constant answer"
    assert answer.found.tried == 1
    text = Page(html_of(SITE, Material(CATALOG, found))).text
    assert text.count("donors on both sides of the split: not evidence about new babies") == 1
    assert "Not run" not in text


def test_overview_takes_back_what_one_of_many_found(made) -> None:
    best = answers(CATALOG, [evidence for evidence, _ in made.values()])[0].found
    value = best.headline.model_copy(update={"value": 0.4, "low": 0.3, "high": 0.5})
    null = best.null.model_copy(update={"p_value": 0.02})
    lucky = best.model_copy(
        update={
            "metrics": best.metrics | {best.headline_metric: value},
            "nulls": best.nulls | {best.headline_metric: null},
            "probes": (),
        }
    ).among(None)
    (alone,) = answers(CATALOG, in_families([lucky]))
    assert (alone.found.verdict, alone.above) == ("above chance", 1)
    assert "Holm" not in Page(html_of(SITE, Material(CATALOG, [alone.found]))).text
    low = value.model_copy(update={"value": 0.2, "low": 0.1})
    chancy = null.model_copy(update={"p_value": 0.9})
    worse = lucky.model_copy(
        update={
            "metrics": lucky.metrics | {best.headline_metric: low},
            "nulls": lucky.nulls | {best.headline_metric: chancy},
        }
    ).among(None)
    named = [
        result.model_copy(update={"provenance": result.provenance.model_copy(update={"experiment": name})})
        for name, result in {"worse": worse, "best": lucky, "other": worse}.items()
    ]
    found = in_families(named)
    (answer,) = answers(CATALOG, found)
    assert (answer.found.tried, answer.above, answer.found.verdict) == (3, 0, "not distinguishable from chance")
    assert answer.found.p_value == pytest.approx(0.06)
    text = Page(html_of(SITE, Material(CATALOG, found))).text
    assert "every verdict is corrected for all 3 (Holm)" in text
