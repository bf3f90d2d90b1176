"""Figures: small, equal for equal evidence, in both themes, and they show the numbers."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.reports.figures import data as data_plots
from cry_pipeline.reports.figures import intervals as plots
from cry_pipeline.reports.figures import style
from cry_pipeline.reports.leaderboard import SHOWN

THEMES = pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=["light", "dark"])
REASONS = ("hungry", "discomfort", "tired", "belly_pain", "burping")


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the words of every figure that is drawn."""
    seen: list[str] = []

    def keep(made: Figure) -> bytes:
        from matplotlib.text import Text

        seen.extend(text.get_text() for text in made.findobj(Text))
        return b""

    for module in (plots, data_plots):
        monkeypatch.setattr(module, "png", keep)
    return seen


def is_small_png(data: bytes, theme: style.Theme) -> bool:
    image = Image.open(BytesIO(data))
    corner = image.convert("RGB").getpixel((1, 1))
    return (
        image.format == "PNG"
        and len(data) < 60_000
        and corner == Image.new("RGB", (1, 1), theme.surface).getpixel((0, 0))
    )


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"recording_id": [f"r{number:04}" for number in range(460)], "label": "hungry"})
    rows["donor"] = [f"donor{number:03}" for number in rng.permutation(np.arange(460) % 200)]
    for start, name in zip((0, 8, 24, 48), REASONS[:0:-1], strict=True):
        rows.loc[start : start + 30, "label"] = name
    return rows.assign(duration_s=rng.normal(6.9, 0.3, 460), reason=rows["label"])


@THEMES
def test_every_figure_of_evidence_is_a_small_png_and_repeatable(evidence, many, theme: style.Theme) -> None:
    five = evidence("five", classes=REASONS, cohort="cleaned")
    two = next(found for found in many if len(found.classes) == 2)
    figures = {
        "confusion": lambda: plots.confusion_matrix(five, theme),
        "recall": lambda: plots.class_recall(five, theme),
        "roc": lambda: plots.roc(two, theme),
        "intervals": lambda: plots.intervals([five] * SHOWN, theme),
    }
    for name, draw in figures.items():
        first = draw()
        assert is_small_png(first, theme), name
        assert first == draw(), name


@THEMES
def test_every_figure_of_data_is_a_small_png(cohort: pd.DataFrame, theme: style.Theme) -> None:
    rng = np.random.default_rng(0)
    folds = make_folds(cohort, ProtocolSpec(kind="clip_stratified", folds=10, repeats=3))
    hz = np.linspace(0, 4000, 257)
    assert is_small_png(data_plots.recordings_overview(cohort, theme=theme), theme)
    assert is_small_png(data_plots.fold_classes(folds, theme), theme)
    for bins, frequencies in ((257, hz), (20, None)):
        noise = rng.normal(size=(1200, bins)).astype(np.float16)  # no image of a recording has more to keep
        drawn = data_plots.feature_image(noise, hop_s=0.016, title="noise", frequencies_hz=frequencies, theme=theme)
        assert is_small_png(drawn, theme), bins


def test_confusion_matrix_holds_counts_and_shares_of_the_true_class(many, words: list[str]) -> None:
    found = next(found for found in many if found.provenance.experiment == "weak_clips")
    plots.confusion_matrix(found)
    counts = np.array(found.confusion)
    for row in counts:
        for cell in row:
            assert f"{cell / row.sum():.0%}\n{cell}" in words
    assert "Confusion matrix\n180 recordings, 2 repeats, row = 100 %" in words


def test_recall_figure_names_support_and_value(many, words: list[str]) -> None:
    found = many[2]
    plots.class_recall(found)
    held = found.per_class["burping"]
    assert held.recall is not None
    assert f"burping ({held.recordings} of {held.donors} donors)" in words
    assert f"{held.recall.value:.2f}" in words


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
def test_rows_are_named_on_small_screens_too(narrow: bool, many, words: list[str]) -> None:
    plots.class_recall(many[2], narrow=narrow)
    assert {f"{name} ({held.recordings} of {held.donors} donors)" for name, held in many[2].per_class.items()} <= {
        word.replace(" pain", "_pain") for word in words
    }
    plots.intervals(many, narrow=narrow)
    assert {f"{found.provenance.model} · {found.provenance.protocol}" for found in many[3:]} <= set(words)


def test_a_small_screen_shows_a_narrow_figure_as_it_was_drawn(many) -> None:
    for data in (plots.class_recall(many[2], narrow=True), plots.intervals(many[:4], narrow=True)):
        assert Image.open(BytesIO(data)).width <= 3.4 * style.DPI + 1


def test_roc_of_more_than_two_classes_is_refused(many) -> None:
    with pytest.raises(ValueError, match="weak_grouped has 3 classes; a ROC curve needs two"):
        plots.roc(many[2])


def test_fold_figure_counts_one_repeat_and_marks_what_is_missing(cohort: pd.DataFrame, words: list[str]) -> None:
    rows = cohort[cohort["label"].isin(["hungry", "burping"])].copy()
    rows["label"] = np.where(np.arange(len(rows)) < 8, "burping", "hungry")
    data_plots.fold_classes(make_folds(rows, ProtocolSpec(kind="clip_stratified", folds=10, repeats=2)))
    assert "burping\n(8)" in words
    assert words.count("0") == 4, "two of ten folds lack burping, in each of two repeats"
    assert f"Recordings tested by each fold, {len(rows)} in all" in words


def test_overview_counts_recordings_and_donors(cohort: pd.DataFrame, words: list[str]) -> None:
    data_plots.recordings_overview(cohort)
    hungry = cohort[cohort["label"] == "hungry"]
    assert f" {len(hungry)} of {hungry['donor'].nunique()} donors" in words


@pytest.mark.filterwarnings("error")
def test_recordings_overview_of_nothing_usable_says_so(words: list[str]) -> None:
    nothing = RECORDINGS.table_of([])
    data_plots.recordings_overview(nothing)
    assert "0 recordings of 0 donors" in words


@pytest.mark.parametrize("frames", [1, 239, 240, 241, 1000])
def test_an_image_keeps_its_axes_however_much_is_averaged(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Figure] = []
    monkeypatch.setattr(data_plots, "png", lambda drawn: made.append(drawn) or b"")
    values = np.zeros((frames, 257))
    values[:, 251] = 60.0
    hz = np.arange(257) * 4000 / 256
    data_plots.feature_image(values, hop_s=0.01, title="a tone", frequencies_hz=hz)
    axes = made[0].axes[0]
    assert axes.get_xlim() == pytest.approx((-0.005, (frames - 0.5) * 0.01))
    places = dict(zip((label.get_text() for label in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    assert places["2,000"] == pytest.approx(128)
    image = axes.images[0]
    _, right, bottom, top = image.get_extent()
    pixels = np.asarray(image.get_array())
    assert pixels.shape[0] <= data_plots.ROWS
    assert pixels.shape[1] <= data_plots.COLUMNS
    loudest = bottom + (pixels[:, 0].argmax() + 0.5) * (top - bottom) / len(pixels)
    assert loudest == pytest.approx(251, abs=0.6), "the tone is where it was"
    assert right >= (frames - 0.5) * 0.01


def test_experiments_on_several_feature_sets_are_told_apart(evidence, words: list[str]) -> None:
    first = evidence("first", classes=REASONS, cohort="cleaned")
    other = first.model_copy(update={"provenance": first.provenance.model_copy(update={"feature_set": "mel128_8k"})})
    third = first.model_copy(update={"provenance": first.provenance.model_copy(update={"model": "another"})})
    plots.intervals([first, other, third])
    of = first.provenance
    labels = list(dict.fromkeys(word for word in words if f"· {of.protocol}" in word))
    assert labels == [
        f"{of.model} · {of.protocol} · {of.feature_set}",
        f"{of.model} · {of.protocol} · mel128_8k",
        f"another · {of.protocol}",
    ]
