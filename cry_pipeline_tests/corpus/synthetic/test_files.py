"""A synthetic corpus has the real one's layout, comes whole or not at all, and hides what it says it hides."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.corpus.filenames import FilenameError, parse_filename
from cry_pipeline.corpus.manifest import build_manifest
from cry_pipeline.corpus.sources import CLEANED, LAYOUT, Roots, take_inventory
from cry_pipeline.corpus.synthetic import files as synthetic
from cry_pipeline.corpus.synthetic.encoding import upload_format
from cry_pipeline.corpus.synthetic.files import TINY, SyntheticError, generate_corpus
from cry_pipeline.corpus.synthetic.plan import LABELS, PlanError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus with surprises and no planted effect; not to be changed."""
    return generate_corpus(tmp_path_factory.mktemp("synthetic") / "corpus", **TINY)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus of another seed with a planted effect; not to be changed."""
    return generate_corpus(tmp_path_factory.mktemp("synthetic") / "corpus", **TINY, seed=1, effect=1.0)


def tree(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file under ``folder``."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_layout_and_formats_are_those_of_the_corpus(tiny: Path) -> None:
    assert {path.name for path in tiny.iterdir()} == {*LAYOUT, "README.md", "corpus.json"}
    assert {path.name for path in (tiny / CLEANED).iterdir()} == set(LABELS.values())
    suffixes = {name: {path.suffix for path in (tiny / name).rglob("*.*")} for name in LAYOUT}
    assert list(suffixes.values()) == [{".wav"}, {upload_format("android").suffix}, {".caf"}]
    cleaned = [load_samples(path, 8000).size / 8000 for path in (tiny / CLEANED).rglob("*.wav")]
    assert 1.1 < min(cleaned) <= max(cleaned) < 2.1


def test_corpus_json_says_synthetic_and_with_what_arguments(tiny: Path) -> None:
    about = json.loads((tiny / "corpus.json").read_text())
    assert about["source"] == "synthetic"
    assert (about["donors"], about["seed"], about["effect"]) == (8, 0, 0.0)
    assert about["android_codec"] == upload_format("android").codec
    assert "No baby cried" in (tiny / "README.md").read_text()


def test_every_cleaned_recording_is_in_its_reasons_folder_and_has_its_upload(tiny: Path) -> None:
    uploads = {path.stem for name in list(LAYOUT)[1:] for path in (tiny / name).iterdir()}
    for cleaned in (tiny / CLEANED).rglob("*.wav"):
        assert cleaned.stem in uploads
        assert cleaned.parent.name == LABELS[parse_filename(cleaned.name).reason_code]


def test_two_names_are_off_the_convention_and_all_others_on_it(tiny: Path) -> None:
    odd = []
    for path in (path for name in LAYOUT for path in (tiny / name).rglob("*.*")):
        try:
            parse_filename(path.name)
        except FilenameError:
            odd.append(path.name)
    assert [name.endswith(".caf.caf") for name in odd] == [True, True]


def test_the_manifest_accounts_for_every_surprise(tiny: Path, tmp_path: Path) -> None:
    made = build_manifest(take_inventory(Roots(tiny), tmp_path), Roots(tiny), tmp_path)
    refused = {"odd_name": 2, "too_short": 3, "truncated": 1, "empty": 1, "duplicate": 1}
    assert Counter(made.quarantine["reason"]) == refused
    assert set(made.recordings["source"]) == {"synthetic"}
    kept = made.recordings[made.recordings["processing"] == "cleaned"].groupby("folder_label")["donor"].nunique()
    assert set(kept.index) == set(LABELS.values())
    assert kept.min() >= 6


def test_equal_arguments_give_equal_bytes_and_another_seed_gives_others(
    tiny: Path, planted: Path, tmp_path: Path
) -> None:
    assert tree(generate_corpus(tmp_path / "again", **TINY)) == tree(tiny)
    assert set(tree(tiny).values()) & set(tree(planted).values()) == {hashlib.sha256(b"").hexdigest()}


def test_a_corpus_that_was_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fill_the_disk(path: Path, *_: object) -> None:
        written.append(path)
        if len(written) == 5:
            raise OSError("no space left on device")

    monkeypatch.setattr(synthetic, "write_audio", fill_the_disk)
    monkeypatch.setattr("cry_pipeline.corpus.decoding.load_samples", lambda *_: np.zeros(8000, np.float32))
    with pytest.raises(OSError, match="no space left"):
        generate_corpus(tmp_path / "corpus", **TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_is_under_its_name_only_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(synthetic, "_write_corpus", lambda *_: seen.append((tmp_path / "corpus").exists()))
    generate_corpus(tmp_path / "corpus", **TINY)
    assert seen == [False]
    assert (tmp_path / "corpus").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(SyntheticError, match="is not empty: remove it"):
        generate_corpus(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_arguments_that_cannot_work_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="donors is 3"):
        generate_corpus(tmp_path / "corpus", donors=3)
    assert list(tmp_path.iterdir()) == []


def recall_for_unheard_donors(corpus: Path) -> float:
    """Mean recall over the five reasons of a linear model on pooled spectra, tested on donors it never heard."""
    paths = sorted((corpus / CLEANED).rglob("*.wav"))
    labels = np.array([path.parent.name for path in paths])
    donors = np.array([path.name[:36] for path in paths])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000))
    pooled = np.array([pooled_spectrum(load_samples(path, 8000)) for path in paths])
    told = cross_val_predict(model, pooled, labels, groups=donors, cv=LeaveOneGroupOut())
    return float(recall_score(labels, told, average="macro"))


def pooled_spectrum(samples: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over frames of the log spectrum, ``[2 * bins]``."""
    frames = samples[: samples.size // 256 * 256].reshape(-1, 256) * np.hanning(256)
    decibels = 20 * np.log10(np.abs(np.fft.rfft(frames)) + 1e-4)
    return np.concatenate([decibels.mean(axis=0), decibels.std(axis=0)])


def test_a_planted_effect_is_found_in_donors_never_heard_and_without_one_there_is_nothing(
    tiny: Path, planted: Path
) -> None:
    assert recall_for_unheard_donors(tiny) < 0.4
    assert recall_for_unheard_donors(planted) > 0.6
