"""What a bundle says of sounds that are no cries: asked as files are, said with an interval, named on its card."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.corpus.synthetic.confusers import CONTROL, KINDS, REVISION, heard, sound_of
from cry_pipeline.corpus.synthetic.encoding import write_audio
from cry_pipeline.inference import building
from cry_pipeline.inference.bundle import CARD, BundleError, read_bundle
from cry_pipeline.inference.candidates import Candidate, bundle_digest, bundle_spec
from cry_pipeline.inference.card import model_card
from cry_pipeline.inference.confusers import CONFUSERS, Asked, read_asked
from cry_pipeline.inference.predict import Predictor


def asked_of(**called: int) -> Asked:
    """Ten sounds of each kind, of which so many are called a cry."""
    said = {kind: (0.9,) * count + (0.1,) * (10 - count) for kind, count in called.items()}
    return Asked(revision=REVISION, threshold=0.5, probabilities=said)


def wilson(called: int, of: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson 1927, equation as in Brown, Cai & DasGupta 2001 (doi 10.1214/ss/1009213286)."""
    share, middle = called / of, (called + z * z / 2) / (of + z * z)
    half = z * math.sqrt(of) / (of + z * z) * math.sqrt(share * (1 - share) + z * z / (4 * of))
    return middle - half, middle + half


@pytest.mark.parametrize("called", [0, 3, 10])
def test_the_share_has_wilsons_interval(called: int) -> None:
    share = asked_of(cat=called).share("cat")
    assert share.value == called / 10
    assert (share.low, share.high) == pytest.approx(wilson(called, 10), abs=1e-9)


def test_a_known_confuser_is_clearly_called_a_cry_more_often_than_usual_and_the_control_is_none() -> None:
    asked = asked_of(cat=6, siren=9, music=3, babble=0, **{CONTROL: 10})
    assert asked.confusing(0.15) == ["siren", "cat"]
    assert asked.confusing(0.75) == []


@pytest.mark.usefixtures("_exported_before")
def test_a_bundle_is_asked_what_the_same_files_would_be_and_says_so(
    candidate: Callable[..., Candidate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {kind: KINDS[kind] for kind in ("siren", CONTROL)}
    monkeypatch.setattr("cry_pipeline.inference.confusers.KINDS", kinds)
    folder, made_of = tmp_path / "bundle", replace(candidate("cry"), confusers=2)
    folder.mkdir()
    building.build_bundle({"cry": made_of}, folder)
    asked, predictor = read_asked(folder), Predictor(folder)
    assert asked is not None
    assert {kind: len(said) for kind, said in asked.probabilities.items()} == dict.fromkeys(kinds, 2)
    for number in range(2):
        samples, audio = sound_of("siren", number)
        path = tmp_path / f"siren{audio.suffix}"
        write_audio(path, samples, audio)
        assert predictor.predict(path).cry_probability == pytest.approx(asked.probabilities["siren"][number], abs=1e-6)
    card = (folder / CARD).read_text()
    assert "### Known confusers" in card
    for kind, of_kind in kinds.items():
        control = " (a control: these should be)" if kind == CONTROL else ""
        assert f"| {of_kind.words}{control} | 2 | {asked.share(kind).value:.3f} |" in card


def test_the_card_names_what_confuses_and_what_does_not(candidate: Callable[..., Candidate]) -> None:
    operating = {"cry": {"recall": 0.9, "specificity": 0.9, "precision": 0.9}}
    made_of = {"cry": candidate("cry")}
    named = model_card(made_of, operating, "d" * 64, asked_of(cat=9, babble=0))  # pyright: ignore[reportArgumentType]
    assert "each with the share that was called a cry: cats (0.90). That is clearly more often than the 0.10" in named
    none = model_card(made_of, operating, "d" * 64, asked_of(cat=1))  # pyright: ignore[reportArgumentType]
    assert "None of them is clearly called a cry more often than the 0.10" in none
    chance = {"cry": candidate("cry", verdict="not distinguishable from chance")}
    said = model_card(chance, operating, "d" * 64, asked_of(cat=9))  # pyright: ignore[reportArgumentType]
    assert "The bundle answers nothing, because its evidence is *not distinguishable from chance*" in said
    assert "asked about no sounds" in model_card(made_of, operating, "d" * 64)  # pyright: ignore[reportArgumentType]


def test_which_sounds_are_asked_is_in_the_bundles_key(candidate: Callable[..., Candidate]) -> None:
    made_of = candidate("cry")
    digests = {bundle_digest({"cry": replace(made_of, confusers=number)}) for number in (0, 1, 2)}
    assert len(digests) == 3
    assert bundle_spec(made_of.cohort, 2)["confusers"] == {"sounds": 2, "revision": REVISION}
    assert "confusers" not in bundle_spec(candidate("reason").cohort, 2)


def test_a_bundle_of_before_was_asked_nothing_and_a_strange_file_is_refused(bundle: Callable[..., Path]) -> None:
    folder = bundle()
    assert read_asked(read_bundle(folder).folder) is None
    (folder / "cry" / CONFUSERS).write_text(json.dumps({"revision": 1}))
    with pytest.raises(BundleError, match="does not say what was asked of the bundle"):
        read_asked(folder)


def test_what_is_asked_about_is_what_an_app_sends() -> None:
    plain, _ = sound_of("music", 1)
    arrived = heard("music", 1, 16_000)
    assert len(arrived) == len(plain)
    assert 0.5 < np.corrcoef(plain, arrived)[0, 1] < 0.9999, "a codec changes it, and it stays what it is"
