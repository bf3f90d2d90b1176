"""Feature sets side by side: the same moments on the same scale, honest numbers, and evidence where it belongs."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from cry_pipeline.catalog import Catalog, FeatureSetSpec, load_catalog
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.store.rows import samples_of, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.reports.feature_set_costs import extraction_cost, resampled
from cry_pipeline.reports.feature_sets import (
    FEATURE_SETS_REPORT,
    FeatureSetsError,
    Measured,
    compare,
    evidence_table,
    pick_examples,
)
from cry_pipeline.reports.figures import feature_sets as feature_set_plots
from cry_pipeline.reports.figures.feature_sets import Imaged, common_scale, feature_set_images, overview
from cry_pipeline.reports.figures.style import DARK, LIGHT
from cry_pipeline.reports.report import Features, Material, Written
from cry_pipeline_tests.reports.test_leaderboard import Page, links_of
from cry_pipeline_tests.stated import manifest_of

RATE = 8000
SILENT_S, SOUNDING_S = 2, 4


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The packaged catalog with two small feature sets, of which one asks for a higher rate and has a coarser mel."""
    small: dict[str, Any] = {"n_fft": 256, "window_samples": 256, "hop_samples": 128, "mels": 32}
    low = FeatureSetSpec(sample_rate_hz=RATE, fmin_hz=50, fmax_hz=4000, mfcc=8, description="<low> rate", **small)
    high = FeatureSetSpec(sample_rate_hz=2 * RATE, fmin_hz=100, fmax_hz=6000, mfcc=5, **small)
    sets = {"low": low, "high": high}
    return load_catalog(None).model_copy(update={"feature_sets": sets})


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Roots]:
    """Seven recordings, silent but for a tone from the second second on; the first was not kept as a cry."""
    root = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(7):
        samples = np.zeros((SILENT_S + SOUNDING_S) * RATE, np.float32)
        samples[SILENT_S * RATE :] = (0.5 + number / 2**15) * np.sin(
            2 * np.pi * 1000 * np.arange(SOUNDING_S * RATE) / RATE
        )
        soundfile.write(root / f"r{number}.wav", samples, RATE)
        rows.append({"path": f"r{number}.wav", "voiced_fraction": number / 10})
    table = (
        pd.DataFrame(rows)
        .merge(manifest_of(root, [row["path"] for row in rows]))
        .assign(source="donateacry_ios", reason="belly_pain", duration_s=6.0, sample_rate_hz=RATE)
    )
    table["kept"] = pd.array([False, *[True] * 6], dtype="boolean")
    return table, Roots(root)


@pytest.fixture(scope="module")
def stores(catalog: Catalog, recordings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, FeatureStore]:
    """A store of each feature set, with all recordings."""
    uri = tmp_path_factory.mktemp("features")
    samples = samples_of(recordings[0])
    made = {name: FeatureStore.open(uri, spec).of(samples) for name, spec in catalog.feature_sets.items()}
    for store in made.values():
        extract(recordings[0], recordings[1], store)
    return made


@pytest.fixture(scope="module")
def found(evidence) -> list:
    """Logistic regression on both sets and a network on one; a baseline without features; a clip-level result."""
    clips = {"protocol": "clip_stratified", "keeps_donors_apart": False}
    return [
        evidence("high", feature_set="high", effect=0.5),
        evidence("low", feature_set="low"),
        evidence("net", feature_set="low", model="lfeb_attention_lstm"),
        evidence("blind", feature_set="low", model="majority"),
        evidence("clips", feature_set="low", **clips),
    ]


def material(catalog: Catalog, stores, recordings, found) -> Material:
    return Material(catalog, found, features=Features(stores, *recordings))


@pytest.fixture(scope="module")
def report(catalog: Catalog, stores, recordings, found, tmp_path_factory) -> Written:
    folder = tmp_path_factory.mktemp("reports")
    return FEATURE_SETS_REPORT.write(material(catalog, stores, recordings, found), folder)


@pytest.fixture(scope="module")
def sets(stores, recordings) -> list[Imaged]:
    kinds, ids = ("spectrogram", "mel", "mfcc", "statistics"), recordings[0]["recording_id"].tolist()
    return [Imaged(name, store.spec, store.read([ids[1], ids[3]], kinds)) for name, store in stores.items()]


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words and digests: drawing takes most of a report's time."""
    monkeypatch.setattr(feature_set_plots, "png", lambda made: bytes(24))


def test_examples_are_the_middles_of_thirds_of_what_was_kept(recordings, stores) -> None:
    table, _ = recordings
    picked = pick_examples(table, stores)["path"].tolist()
    assert picked == ["r2.wav", "r4.wav", "r6.wav"]
    assert pick_examples(table.sample(frac=1, random_state=3), stores)["path"].tolist() == picked
    faster = table.assign(sample_rate_hz=[16_000] * 2 + [RATE] * 5)
    assert pick_examples(faster, stores)["path"].tolist() == ["r3.wav", "r5.wav", "r1.wav"], "a higher rate comes last"
    unmarked = table.assign(kept=pd.array([pd.NA] * 7, dtype="boolean"))
    assert pick_examples(unmarked, stores)["path"].tolist() == ["r1.wav", "r3.wav", "r5.wav"]
    assert pick_examples(table[:3], stores)["path"].tolist() == ["r1.wav", "r2.wav"]


def test_a_recording_that_a_feature_set_lacks_is_no_example(recordings, stores, catalog, tmp_path: Path) -> None:
    table, roots = recordings
    partial = FeatureStore.open(tmp_path, catalog.feature_sets["high"]).of(samples_of(table))
    with pytest.raises(FeatureSetsError, match="cry-pipeline run"):
        pick_examples(table, stores | {"high": partial})
    extract(table[2:3], roots, partial)
    assert pick_examples(table, stores | {"high": partial})["path"].tolist() == ["r2.wav"]


def test_numbers_are_those_of_what_is_stored(report: Written) -> None:
    assert report.table is not None
    low, high = report.table.set_index("feature_set").loc[["low", "high"]].to_dict("records")
    frames = 1 + 6 * RATE // 128
    assert low["frames_per_s"] == pytest.approx(frames / 6)
    assert (low["spectrogram_width"], low["mel_width"], low["mfcc_width"]) == (129, 32, 8)
    assert low["spectrogram_bytes_per_s"] == pytest.approx(129 * 2 * frames / 6)
    assert low["mfcc_bytes_per_s"] == pytest.approx(8 * 4 * frames / 6)
    arrays = ("spectrogram", "mel", "mfcc", "statistics")
    assert low["bytes_per_s"] == pytest.approx(sum(low[f"{name}_bytes_per_s"] for name in arrays))
    assert (low["window_ms"], low["hop_ms"]) == (32, 16)
    assert (low["upsampled"], high["upsampled"], high["downsampled"]) == (0, 1, 0)
    assert high["frames_per_s"] == pytest.approx(2 * low["frames_per_s"], rel=0.01)
    assert low["cost_ms_per_s"] == pytest.approx(low["transform_ms_per_s"] + low["statistics_ms_per_s"])
    assert min(low["transform_ms_per_s"], low["statistics_ms_per_s"]) > 0


def test_cost_grows_with_the_audio_and_leaves_torch_as_it_was(catalog: Catalog) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    spec, rng = catalog.feature_sets["low"], np.random.default_rng(0)
    short, long = (rng.normal(0, 0.1, seconds * RATE).astype(np.float32) for seconds in (2, 60))
    assert sum(extraction_cost(spec, [long])) > 4 * sum(extraction_cost(spec, [short]))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 3


def test_shares_of_resampled_recordings(catalog: Catalog) -> None:
    table = pd.DataFrame({"sample_rate_hz": [8000, 16_000, 44_100, 8000]})
    assert resampled(table, catalog.feature_sets["high"]) == {"upsampled": 0.5, "downsampled": 0.25}
    assert resampled(table, catalog.feature_sets["low"]) == {"upsampled": 0, "downsampled": 0.5}


def test_evidence_stands_beside_what_differs_in_the_feature_set_only(catalog: Catalog, found) -> None:
    compared = compare(catalog, found)
    assert [(each.model, each.protocol, list(each.found)) for each in compared["curation"]] == [
        ("logistic_regression", "donor_grouped", ["low", "high"]),
        ("lfeb_attention_lstm", "donor_grouped", ["low"]),
        ("logistic_regression", "clip_stratified", ["low"]),
    ], "most sets first, then donor-grouped; a model that sees no features says nothing about them"
    table = evidence_table(catalog, found)
    assert table["feature_set"].tolist() == ["low", "high", "low", "low"]
    assert table["value"].tolist()[1] == found[0].headline.value
    assert (table.loc[table["protocol"] == "clip_stratified", "qualification"] != "").all()
    assert compare(catalog, found[::-1]) == compared


def test_page_is_whole_and_says_what_it_must(report: Written, recordings, found) -> None:
    text = report.page.read_text()
    page = Page(text)
    assert {f"experiments/{each.provenance.experiment}.html" for each in found[:3]} <= links_of(text)
    assert sum(tag == "picture" for tag, _ in page.attributes) == 2
    assert "<title>Feature sets</title>" in text
    assert "<low> rate" in page.text
    for each in found[:3]:
        assert f"{each.headline.value:.3f}" in page.text
        assert f"{each.headline.low:.3f} to {each.headline.high:.3f}" in page.text
    assert page.text.count("not run") == 2
    assert page.text.count("donors on both sides of the split: not evidence about new babies") == 1
    for words in (
        "CPU time of one thread",
        "without compression",
        "are not tested here",
        "100 % up, 0 % down",
        f"{recordings[0]['recording_id'][2][:8]}, belly pain",
    ):
        assert words in page.text, words


@pytest.mark.usefixtures("without_figures")
def test_generated_recordings_are_said_in_the_title(report, catalog, stores, recordings, evidence, sets) -> None:
    examples = pick_examples(recordings[0], stores)[:2]
    made_up = examples.assign(source="synthetic")
    told = [evidence("made_up", feature_set="low", sources=("synthetic",))]
    for shown, given in ((made_up, []), (examples, told)):
        content = Measured(shown, sets, report.table.to_dict("records"))
        page = FEATURE_SETS_REPORT.html(content, Material(catalog, given))
        assert "<title>SYNTHETIC DATA — Feature sets</title>" in page
        assert "<h1>SYNTHETIC DATA — Feature sets</h1>" in page


def test_what_is_current_is_not_written_again(report, catalog, stores, recordings, found) -> None:
    folder, before = report.page.parent, report.page.read_bytes()
    again = FEATURE_SETS_REPORT.write(material(catalog, stores, recordings, found[::-1]), folder)
    assert again.reused
    assert not report.reused
    assert again.digest == report.digest
    assert report.table is not None
    assert again.table is not None
    pd.testing.assert_frame_equal(again.table, report.table)
    assert again.page.read_bytes() == before
    assert sorted(each.name for each in folder.iterdir()) == [
        "feature_sets.html",
        "feature_sets.parquet",
    ]


@pytest.mark.usefixtures("without_figures")
def test_change_of_evidence_examples_or_feature_sets_is_felt(report, catalog, stores, recordings, found, tmp_path):
    table, roots = recordings
    changed = (
        material(catalog, stores, recordings, found[1:]),
        material(catalog, stores, (table[:4], roots), found),
        material(catalog, {"low": stores["low"]}, recordings, []),
    )
    digests = {report.digest, *(FEATURE_SETS_REPORT.write(given, tmp_path).digest for given in changed)}
    assert len(digests) == 4


def test_all_sets_are_drawn_at_the_same_moments_and_levels(sets) -> None:
    scale = common_scale(sets)
    assert all(start == pytest.approx(SILENT_S, abs=SOUNDING_S - scale.seconds + 0.1) for start in scale.starts_s)
    assert all(start > SILENT_S - 0.1 for start in scale.starts_s), "not the silence before the tone"
    assert scale.top_hz == {"spectrogram": RATE, "mel": 6000}
    assert scale.coefficients == 8
    for low, high in scale.db.values():
        assert low % 10 == high % 10 == 0
        assert low < high
    loud = max(float(one.rows.arrays["spectrogram"].max()) for one in sets)
    assert scale.db["spectrogram"][1] >= loud - 1


def test_a_tone_is_drawn_at_its_frequency_and_nothing_where_a_set_ends(sets, monkeypatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(feature_set_plots, "png", lambda made: figures.append(made) or b"")
    for one in sets:
        feature_set_images(one, common_scale(sets), ["a", "b"])
    for one, made in zip(sets, figures, strict=True):
        spectrogram, mel = made.axes[0].images[0], made.axes[2].images[0]
        for image, top_hz, end_hz in ((spectrogram, RATE, one.spec.sample_rate_hz / 2), (mel, 6000, one.spec.fmax_hz)):
            values = np.ma.filled(np.ma.asarray(image.get_array()), np.nan)
            top = 2595 * np.log10(1 + top_hz / 700)
            rows_hz = 700 * (10 ** ((np.arange(len(values)) + 0.5) / len(values) * top / 2595) - 1)
            assert rows_hz[np.nanargmax(values[:, values.shape[1] // 2])] == pytest.approx(1000, abs=90)
            assert np.isnan(values[rows_hz > end_hz]).all()
            assert not np.isnan(values[(rows_hz > one.spec.fmin_hz) & (rows_hz < end_hz)]).any()
    ticks = [[axes.get_ylim() for axes in made.axes[:6]] for made in figures]
    assert ticks[0] == ticks[1]
    limits = [[axes.images[0].get_clim() for axes in made.axes[:6]] for made in figures]
    assert limits[0] == limits[1]


def test_dagsters_picture_is_small_however_noisy_and_many_the_sets_are() -> None:
    spec = load_catalog(None).feature_sets["mel128_8k"].model_copy(update={"hop_samples": 16})
    rng = np.random.default_rng(0)
    noise = {
        "spectrogram": rng.uniform(-100, 0, (2000, spec.bins)).astype(np.float16),
        "mel": rng.uniform(-100, 0, (2000, spec.mels)).astype(np.float16),
        "mfcc": rng.normal(size=(2000, spec.mfcc)).astype(np.float32),
    }
    sets = [Imaged(f"set{number}", spec, stack_rows({"r": noise})) for number in range(7)]
    for theme in (LIGHT, DARK):
        drawn = overview(sets, 0, "r", theme)
        assert Image.open(BytesIO(drawn)).format == "PNG"
        assert len(drawn) < 60_000


def test_recording_shorter_than_an_excerpt_and_constant_coefficients_are_drawn(catalog: Catalog) -> None:
    spec = catalog.feature_sets["low"]
    silence = {
        "spectrogram": np.full((3, spec.bins), -100, np.float16),
        "mel": np.full((3, spec.mels), -100, np.float16),
        "mfcc": np.zeros((3, spec.mfcc), np.float32),
    }
    one = Imaged("low", spec, stack_rows({"r": silence}))
    with np.errstate(all="raise"):
        scale = common_scale([one])
    assert scale.starts_s == (0,)
    assert feature_set_images(one, scale, ["r"])
