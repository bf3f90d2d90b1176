"""Which windows a long recording is asked about, and that their answers make a timeline without gaps."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cry_pipeline.inference.predict import Predictor
from cry_pipeline.inference.windows import LONGEST_WHOLE_S, STEP_S, WINDOW_S, Segment, stretches, timeline, windows

RATE_HZ = 8000


@pytest.mark.parametrize("duration_s", [1.0, 7.0, 9.999, 10.0])
def test_what_is_not_long_is_asked_whole(duration_s: float) -> None:
    assert windows(duration_s) == [(0.0, None)]
    assert timeline(np.array([0.25]), duration_s) == [(0.0, duration_s, 0.25)]


@pytest.mark.parametrize("duration_s", [10.0001, 10.5, 11.0, 11.99, 60.0, 61.25, 600.0])
def test_windows_of_a_long_one_hold_all_of_it_and_last_what_the_detector_knows(duration_s: float) -> None:
    asked = windows(duration_s)
    assert asked[0][0] == 0
    assert asked[-1][1] is None
    lengths = [(duration_s if end is None else end) - start for start, end in asked]
    assert lengths[:-1] == [WINDOW_S] * (len(asked) - 1)
    assert WINDOW_S <= lengths[-1] < WINDOW_S + STEP_S <= LONGEST_WHOLE_S
    assert {later[0] - earlier[0] for earlier, later in pairwise(asked)} == {STEP_S}


@pytest.mark.parametrize("duration_s", [10.0001, 11.0, 12.5, 60.0])
def test_each_second_is_the_mean_of_the_windows_that_hold_it(duration_s: float) -> None:
    asked = windows(duration_s)
    probabilities = np.random.default_rng(0).random(len(asked))
    made = timeline(probabilities, duration_s)
    assert (made[0][0], made[-1][1]) == (0.0, duration_s)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(made))
    for start, end, probability in made:
        holding = [s <= start and (e is None or end <= e) for s, e in asked]
        assert STEP_S <= end - start < 2 * STEP_S
        assert probability == pytest.approx(probabilities[holding].mean())


def test_neighbouring_seconds_of_a_cry_are_one_stretch() -> None:
    cries = [True, True, False, True, False, False, True]
    segments = [Segment(at, at + 1.0, float(cry), cry) for at, cry in enumerate(cries)]
    assert stretches(segments) == [(0, 2), (3, 4), (6, 7)]
    assert stretches([]) == []


def test_a_long_file_is_answered_by_what_its_windows_are(bundle: Callable[..., Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 12 * RATE_HZ) * np.repeat(rng.random(12), RATE_HZ)
    predictor, alone = Predictor(bundle(reason="above chance")), []
    for start, end in windows(12.0):
        soundfile.write(tmp_path / "window.wav", sound[int(start) * RATE_HZ : end and int(end) * RATE_HZ], RATE_HZ)
        alone.append(predictor.predict(tmp_path / "window.wav"))
    soundfile.write(tmp_path / "long.wav", sound, RATE_HZ)
    found = predictor.predict_bytes((tmp_path / "long.wav").read_bytes(), "what was heard")
    expected = timeline(np.array([prediction.cry_probability for prediction in alone]), 12.0)
    np.testing.assert_allclose([segment.cry_probability for segment in found.segments], [p for *_, p in expected])
    assert found.cry_probability == max(segment.cry_probability for segment in found.segments)
    assert (found.path, found.duration_s, len(alone)) == ("what was heard", 12.0, 6)
    assert sum(found.reasons.values()) == pytest.approx(1)
    assert "12 s" in found.verdict
    line = json.loads(found.as_json())
    assert line["duration_s"] == 12.0
    assert list(line["segments"][0]) == ["start_s", "end_s", "cry_probability", "is_cry"]


def test_a_short_file_has_one_segment_and_the_words_it_had(bundle: Callable[..., Path], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "seven.wav", np.random.default_rng(0).normal(0, 0.1, 7 * RATE_HZ), RATE_HZ)
    found = Predictor(bundle()).predict(tmp_path / "seven.wav")
    assert [(s.start_s, s.end_s, s.cry_probability) for s in found.segments] == [(0.0, 7.0, found.cry_probability)]
    assert found.segments[0].is_cry == ((found.cry_probability or 0) >= 0.5)
    assert "from" not in found.verdict
