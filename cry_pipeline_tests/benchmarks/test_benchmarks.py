"""The benchmarks still run, and measure what they say; how fast anything is, `make bench` tells."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.features.computing import FeatureSetComputer, FeatureTransform
from cry_pipeline_tests.benchmarks import caging, compare, librosas, published, rivals, storing, training
from cry_pipeline_tests.benchmarks.__main__ import recordings
from cry_pipeline_tests.benchmarks.computing import NATIVE, SPEECH, manifest
from cry_pipeline_tests.benchmarks.measuring import Run, best_of, limit, machine, ratio, table


@pytest.mark.parametrize("spec", [NATIVE, SPEECH], ids=["8 kHz", "16 kHz"])
def test_the_rival_computes_the_same_values(spec) -> None:
    import torch

    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * spec.sample_rate_hz + 50)
    rivals = librosas.shared_stft(samples, spec)
    ours = FeatureTransform(spec)(torch.from_numpy(samples[None]), torch.tensor([len(samples)]))
    for kind, values in ours._asdict().items():
        inner = slice(2, spec.frames(len(samples)) - 4)
        np.testing.assert_allclose(values[0].numpy()[inner], rivals[kind].T[inner], rtol=0, atol=2e-3, err_msg=kind)


def test_three_calls_are_the_shared_ones_but_for_mfccs_own_scale() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)
    shared, three = librosas.shared_stft(samples, NATIVE), librosas.three_calls(samples, NATIVE)
    for kind in ("spectrogram", "mel"):
        np.testing.assert_allclose(three[kind], shared[kind], atol=1e-3)
    assert three["mfcc"].shape == shared["mfcc"].shape


def test_rivals_take_turns_and_the_best_counts() -> None:
    turns: list[str] = []
    clock = itertools.chain([0, 9, 0, 9, 0, 5, 0, 7], itertools.repeat(99))
    rivals = {"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}
    assert best_of(rivals, rounds=2, clock=lambda: next(clock)) == {"a": 5, "b": 7}
    assert turns == ["a", "b"] * 3


def test_table_says_what_was_missed() -> None:
    lines = table([ratio("speed", 4.0, 5, "detail"), limit("cost", 3.0, 4, "ms")]).splitlines()
    assert lines[2:] == ["| speed | 4.0× (detail) | ≥ 5× | **no** |", "| cost | 3 ms | ≤ 4 ms | yes |"]
    assert "torch" in machine()


def run_of(tmp_path: Path, name: str, speed: float, memory: float) -> Path:
    figures = [
        ratio("speed", speed, 5, "of one machine"),
        limit("memory", memory, 1.1, "×"),
        limit("commit", 100 / speed, 25, "ms"),
    ]
    Run("a machine", figures).write(tmp_path / name)
    assert Run.read(tmp_path / name) == Run("a machine", figures)
    return tmp_path / name


def test_ratios_that_got_worse_are_named_and_times_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run_of(tmp_path, "before", 6, 1)
    assert compare.main([str(before), str(run_of(tmp_path, "noise", 5.6, 1.05))]) == 0
    assert compare.main([str(before), str(run_of(tmp_path, "faster", 9, 1))]) == 0
    capsys.readouterr()
    assert compare.main([str(before), str(run_of(tmp_path, "fatter", 9, 2))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in lines] == [["worse", "memory"], ["better", "speed"]]
    assert compare.main([str(before), str(run_of(tmp_path, "slower", 3, 1))]) == 1


def test_the_page_shows_what_was_found_and_nothing_else() -> None:
    page = published.PAGE.read_text()
    assert published.table_in(page) == Run.read(published.FOUND).page()
    other = Run("another machine", [ratio("speed", 2, 1, "x")])
    assert published.table_in(published.with_table(page, other)) == other.page()


def test_rivals_are_asked_for_the_same_values() -> None:
    time = np.arange(31 * 16_000) / 16_000
    noise = np.random.default_rng(0).standard_normal(len(time))
    samples = (0.1 * np.sin(2 * np.pi * 400 * time) + 0.02 * noise).astype(np.float32)
    assert len([*rivals.measures([samples])]) == 3
    spec = rivals.WHISPER.model_copy(update={"mel_scale": "htk"})
    with pytest.raises(AssertionError):
        rivals.assert_equal(FeatureSetComputer(spec), rivals._torch(rivals.WHISPER), samples)


def test_storage_measures_run_on_a_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cry_pipeline_tests.benchmarks.__main__.RECORDINGS", 1)
    monkeypatch.setattr(storing, "COHORT", 40)
    paths = recordings(tmp_path / "corpus", None)
    monkeypatch.setattr(storing, "PART", 10)
    figures = [*storing.commits(tmp_path, 1), *storing.reads(tmp_path), *storing.growth(paths, tmp_path, 20)]
    assert any(figure.what.startswith("durable commit") for figure in figures)
    assert any("nothing to do" in figure.what for figure in figures)


def test_measures_of_the_cage_run_on_a_few_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caging, "UPLOADS", 2)
    monkeypatch.setattr(caging.pool, "_shared", None)
    assert any("in the cage over outside" in figure.what for figure in caging.measures(None, tmp_path))


def test_a_manifest_repeats_its_files_under_other_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cry_pipeline_tests.benchmarks.__main__.RECORDINGS", 2)
    paths = recordings(tmp_path / "corpus", None)
    rows, roots = manifest(paths, 5, tmp_path / "copies")
    assert rows["recording_id"].is_unique
    assert rows["samples_digest"].nunique() == 2
    assert roots.locate("corpus", rows["path"][4]) == tmp_path / "copies" / "4.wav"


def test_the_bare_loop_trains_the_same_network_on_the_same_batches() -> None:
    few = training.Rivals(recordings=24, frames=60, epochs=2)
    ours, bare = few.ours(), few.bare()
    assert ours.keys() == bare.keys()
    for name, weights in ours.items():
        np.testing.assert_allclose(weights.numpy(), bare[name].numpy(), atol=2e-5, err_msg=name)
