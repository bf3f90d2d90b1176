"""What is said of a file, what is left unsaid and why, and that this takes nothing but the bundle."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import cry_pipeline
from cry_pipeline.corpus.decoding import Audio, DecodeError
from cry_pipeline.corpus.sources import CLEANED, Roots
from cry_pipeline.features.extraction import extract
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.inference import predict as predict_module
from cry_pipeline.inference.champions import ChampionError
from cry_pipeline.inference.predict import Prediction, Predictor, TooShortError, audio_files
from cry_pipeline.inference.windows import Segment
from cry_pipeline.training.datasets import Rows
from cry_pipeline_tests.inference.conftest import FEATURES, Made, expected_of
from cry_pipeline_tests.stated import manifest_of

COMMAND = str(Path(sys.executable).with_name("cry-pipeline"))
CHANCE = "not distinguishable from chance"


def test_reason_is_withheld_when_its_evidence_is_at_chance(bundle: Callable[..., Path], made: Made) -> None:
    predictor = Predictor(bundle(reason=CHANCE))
    for prediction in predictor.predict_files(made.files.values()):
        assert prediction.abstained
        assert sum(prediction.reasons.values()) == pytest.approx(1)
        assert prediction.cry_probability is not None
        if prediction.cry_probability >= 0.5:
            assert f"a cry ({prediction.cry_probability:.2f}, threshold 0.50); no reason" in prediction.verdict
            assert CHANCE in prediction.verdict
        else:
            assert prediction.verdict.startswith("not a cry")


@pytest.mark.parametrize(
    ("cry", "reason", "probabilities", "abstained", "said"),
    [
        ("above chance", "above chance", (0.8, {"hungry": 0.7, "tired": 0.3}), False, "hungry (0.70)"),
        ("above chance", "above chance", (0.8, {"hungry": 0.4, "tired": 0.3}), True, "hungry, is at 0.40, below 0.50"),
        ("above chance", "above chance", (0.4, {"hungry": 0.9, "tired": 0.1}), True, "not a cry (0.40"),
        ("above chance", "explained by a shortcut", (0.8, {"hungry": 0.9, "tired": 0.1}), True, "by a shortcut"),
        (CHANCE, "above chance", (0.8, {"hungry": 0.9, "tired": 0.1}), True, "whether it is a cry cannot be told"),
        ("above chance", None, (0.8, {}), True, "gives no reasons"),
    ],
)
def test_answer_follows_from_evidence_and_probability(
    bundle: Callable[..., Path], cry: str, reason: str | None, probabilities: tuple, abstained: bool, said: str
) -> None:
    probability, reasons = probabilities
    heard = [Segment(0, 7, probability, is_cry=True)]
    found = Predictor(bundle(cry, reason))._answer(probability, reasons, heard)
    assert found[0] is abstained
    if reason == "explained by a shortcut":
        assert "no reason is given" in found[1]
    else:
        assert said in found[1]


def test_short_and_undecodable_files_are_said_and_the_others_go_on(
    bundle: Callable[..., Path], made: Made, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    (folder / "below").mkdir(parents=True)
    soundfile.write(folder / "short.wav", np.zeros(4000), 8000)
    (folder / "broken.3gp").write_bytes(b"no audio")
    (folder / "notes.txt").write_text("left out")
    good = next(iter(made.files.values()))
    (folder / "below" / "good.wav").write_bytes(good.read_bytes())
    result = subprocess.run(
        [COMMAND, "predict", "--json", "--bundle", str(bundle(reason=CHANCE)), str(folder), str(folder / "absent.wav")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["good.wav", "broken.3gp", "short.wav", "absent.wav"]
    for line in lines:
        assert list(line)[:7] == ["path", "cry_probability", "reasons", "abstained", "verdict", "bundle", "error"]
        assert (line["abstained"], line["reasons"]) == (True, {})
    assert [line["error"] is None for line in lines] == [True, False, False, False]
    assert "Left out: 1 without a suffix of audio; named by itself, a file is tried (notes.txt)." in result.stderr
    assert 0 < lines[0]["cry_probability"] < 1
    assert [line["cry_probability"] for line in lines[1:]] == [None] * 3
    assert "lasts 0.50 s" in lines[2]["verdict"]
    assert "No such file" in lines[3]["verdict"]


def test_table_shows_no_reason_where_none_is_given(bundle: Callable[..., Path], made: Made) -> None:
    file = str(next(iter(made.files.values())))
    command = [COMMAND, "predict", "--bundle", str(bundle(reason=CHANCE)), file]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "abstained" in result.stdout
    assert "Not for diagnosis" in result.stdout
    assert "hungry" not in result.stdout


def test_seven_seconds_take_less_than_300_ms_once_started(bundle: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "seven.wav"
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 7 * 8000), 8000)
    predictor = Predictor(bundle(reason=CHANCE))
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        predictor.predict(file)
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.3


def test_without_champion_or_bundle_the_error_says_how_to_get_one(made: Made) -> None:
    with pytest.raises(ChampionError, match="cry-pipeline run"):
        cry_pipeline.predict(next(iter(made.files.values())))


def test_single_files_raise(bundle: Callable[..., Path], tmp_path: Path) -> None:
    folder = bundle()
    (tmp_path / "broken.caf").write_bytes(b"caff")
    with pytest.raises(DecodeError, match=r"broken\.caf"):
        cry_pipeline.predict(tmp_path / "broken.caf", bundle=folder)
    soundfile.write(tmp_path / "short.wav", np.zeros(7999), 8000)
    with pytest.raises(TooShortError, match="at least 1 s"):
        cry_pipeline.predict(tmp_path / "short.wav", bundle=folder)


def test_a_clip_that_is_a_sample_short_is_not_said_to_last_a_second(
    bundle: Callable[..., Path], tmp_path: Path
) -> None:
    predictor = Predictor(bundle())
    for samples, rate, said in ((44098, 44100, "lasts 0.99995 s"), (7999, 8000, "0.9999 s"), (4000, 8000, "0.50 s")):
        soundfile.write(tmp_path / "short.wav", np.zeros(samples), rate)
        with pytest.raises(TooShortError, match=f"{said}; .* at least 1 s .{samples} samples of {rate} at {rate} Hz"):
            predictor.predict(tmp_path / "short.wav")


def test_whatever_one_file_does_the_others_are_answered(
    bundle: Callable[..., Path], made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(reason=CHANCE)
    good = next(iter(made.files.values()))
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "empty.wav").touch()
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(12 * 10**9)
    odd = tmp_path / os.fsdecode(b"[red]\xff\n.wav")
    odd.write_bytes(good.read_bytes())
    (tmp_path / "defect.wav").write_bytes(b"defect")
    real = predict_module.decode_bytes

    def decode_bytes(data: bytes) -> Audio:
        if data == b"defect":
            raise IndexError("tuple index out of range")
        return real(data)

    monkeypatch.setattr(predict_module, "decode_bytes", decode_bytes)
    expected = {
        tmp_path / "pipe.wav": "is a pipe",
        tmp_path / "folder.wav": "is a folder",
        Path("/dev/null"): "is a device",
        tmp_path / "absent.wav": "absent.wav cannot be read: No such file",
        tmp_path / "dangling.wav": f"dangling.wav is a link to {tmp_path / 'nowhere'}, which is not there",
        tmp_path / "loop.wav": "loop.wav cannot be read: Too many levels of symbolic links",
        tmp_path / "empty.wav": "empty.wav",
        tmp_path / "huge.wav": "more than 200000000 bytes",
        tmp_path / ("a" * 300 + ".wav"): "File name too long",
        tmp_path / "a\0b.wav": "null",
        tmp_path / "defect.wav": "defect.wav cannot be used: IndexError: tuple index out of range",
        odd: None,
        good: None,
    }
    found = list(Predictor(folder).predict_files(expected))
    assert [prediction.path for prediction in found] == [str(path) for path in expected]
    for prediction, said in zip(found, expected.values(), strict=True):
        line = json.loads(prediction.as_json())
        assert (line["error"] is None) == (said is None) == (line["cry_probability"] is not None)
        assert (said or "") in (line["error"] or "")
        assert "Errno" not in (line["error"] or "")
    assert json.loads(found[-2].as_json())["path"] == str(odd)


def test_reasons_are_in_the_json_where_one_is_given() -> None:
    given = Prediction("a.wav", 0.9, {"hungry": 0.8, "tired": 0.2}, abstained=False, verdict="", bundle="")
    assert json.loads(given.as_json())["reasons"] == {"hungry": 0.8, "tired": 0.2}
    assert json.loads(replace(given, abstained=True).as_json())["reasons"] == {}


def test_folder_without_audio_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no audio file"):
        audio_files([tmp_path])


@pytest.mark.parametrize(
    ("source", "suffix"),
    [("donateacry-android-upload-bucket", "3gp"), ("donateacry-ios-upload-bucket", "caf"), (CLEANED, "wav")],
)
def test_raw_file_of_the_corpus_is_predicted_as_from_its_stored_features(
    corpus: Path, bundle: Callable[..., Path], made: Made, tmp_path: Path, source: str, suffix: str
) -> None:
    """Raw file → bundle against raw file → extraction → store → fitted network, two recordings of each format."""
    predictor = Predictor(bundle())
    files = sorted((corpus / source).rglob(f"*.{suffix}"))[5:50:30]
    paths = [file.relative_to(corpus).as_posix() for file in files]
    recordings = manifest_of(corpus, paths)
    store = FeatureStore.open(tmp_path / "features", FEATURES).of(samples_of(recordings))
    extract(recordings, Roots(corpus), store)
    rows = Rows(
        recordings[["recording_id"]],
        ("not_cry", "cry"),
        store.read(recordings["recording_id"].tolist(), made.members[0].spec.inputs),
    )
    expected = expected_of(made, rows)[..., 1]
    found = [float(predictor.predict(file).cry_probability or np.nan) for file in files]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-4)
