"""The picture of a recording: from stored features, the right way up, and why there is none where there is none."""

import base64
import io

import numpy as np
from PIL import Image

from cry_pipeline.catalog import load_catalog
from cry_pipeline.serving.spectrogram import MOST_COLUMNS, picture_of, png
from cry_pipeline_tests.serving.asking import Visitor
from cry_pipeline_tests.serving.sites import Site, store_features


def pixels(image: bytes) -> np.ndarray:
    """Return the lightness of each pixel [rows, columns], 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(image)).convert("L"))


def test_loud_high_and_late_is_bright_above_and_right() -> None:
    mel = np.full((40, 8), -60, np.float16)
    mel[30:, 6:] = -10
    seen = pixels(png(mel))
    assert seen.shape == (8, 40)
    assert (seen[:2, 30:] > 200).all()
    assert (seen[2:] < 50).all()
    assert (seen[:, :30] < 50).all()


def test_silence_and_long_recordings_have_a_picture_of_bounded_size() -> None:
    assert pixels(png(np.full((3, 8), -90, np.float16))).shape == (8, 3)
    long = png(np.random.default_rng(0).normal(-60, 9, (37_500, 64)).astype(np.float16))  # ten minutes
    assert pixels(long).shape[1] <= MOST_COLUMNS
    assert len(long) < 100_000


def test_picture_is_of_the_first_feature_set_that_has_the_recording(own_site: Site) -> None:
    first, second, *_ = load_catalog().feature_sets.values()
    assert picture_of(own_site.ids["plain"], own_site.settings).why.endswith(
        "no features of this recording are stored yet."
    )
    for spec, count in ((second, 5), (first, 9)):
        store_features(own_site, spec, count)
        told = Visitor.of(own_site).get(f"/review/recordings/{own_site.ids['plain']}").json
        kind, _, coded = told["image"].partition(",")
        assert kind == "data:image/png;base64"
        assert pixels(base64.b64decode(coded)).shape == (spec.mels, count)
        assert (told["low_hz"], told["high_hz"], told["duration_s"]) == (spec.fmin_hz, spec.fmax_hz, 1.5)


def test_damaged_features_are_no_picture_and_said(own_site: Site) -> None:
    test_picture_is_of_the_first_feature_set_that_has_the_recording(own_site)
    for path in (own_site.settings.data / "features").rglob("mel/c*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"\0")
    told = Visitor.of(own_site).get(f"/review/recordings/{own_site.ids['plain']}").json
    assert told["image"] is None
    assert told["why"].startswith("There is no picture: ")
    assert len(told["why"]) > 30


def test_what_the_manifest_does_not_list_has_none(own_site: Site) -> None:
    told = Visitor.of(own_site).get(f"/review/recordings/{'0' * 64}").json
    assert (told["image"], told["why"]) == (None, "The manifest does not list this recording any more.")
