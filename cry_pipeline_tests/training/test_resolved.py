"""What a run is trained with is found out once, and is never something else than its digest says."""

import hashlib
import logging
from contextlib import nullcontext
from pathlib import Path

import pytest
import requests
import torch

from cry_pipeline.catalog import LfebAttentionLstmSpec, ResNet50AttentionSpec
from cry_pipeline.training import resolved
from cry_pipeline.training.resolved import (
    ON_A_CPU,
    ResolutionError,
    StartingWeights,
    accelerator_of,
    imagenet,
    precision_of,
    resolve,
)

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("asked", "gpu", "mps", "expected"),
    [
        ("auto", False, False, "cpu"),
        ("auto", True, False, "gpu"),
        ("auto", False, True, "cpu"),  # other numbers than a CPU's: only where it is asked for
        ("cpu", True, True, "cpu"),
        ("gpu", True, False, "gpu"),
        ("mps", False, True, "mps"),
    ],
)
def test_the_accelerator_asked_for_is_resolved(
    asked: str, gpu: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolved, "finds_gpu", lambda: gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert accelerator_of(asked) == expected


@pytest.mark.parametrize("asked", ["gpu", "mps"])
def test_an_accelerator_that_is_not_there_is_said(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolved, "finds_gpu", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ResolutionError, match=f"ACCELERATOR is {asked}, but torch finds no.*set it to auto or cpu"):
        accelerator_of(asked)


def test_precision_is_mixed_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [precision_of("cpu"), precision_of("mps")] == ["32-true", "32-true"]
    asked = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(asked.append(device)))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert precision_of("gpu") == "bf16-mixed"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert precision_of("gpu", 1) == "16-mixed"
    assert asked == [0, 1]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps the published weights, here of a few bytes; nothing is there yet, and there is no network."""

    def offline(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "get", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(resolved, "IMAGENET", f"https://example.org/models/resnet50-{SHA256[:8]}.pth")
    return tmp_path / "checkpoints" / f"resnet50-{SHA256[:8]}.pth"


def test_weights_that_cannot_be_had_are_said_and_are_random_in_the_digest(
    kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wants = ResNet50AttentionSpec(kind="resnet50_attention", weights="imagenet")
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        found = resolve([wants], "cpu")
    assert found is not None
    assert found.parts == {"accelerator": "cpu", "precision": "32-true", "weights": "random"}
    assert "no route to host" in caplog.text
    assert not kept.exists()


def test_weights_that_are_there_are_known_by_their_sha256(kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_bytes(CONTENT)
    assert imagenet() == StartingWeights(SHA256, kept)
    assert imagenet().read() == CONTENT


@pytest.mark.parametrize("content", [b"", b"Bad gateway"])
def test_bytes_that_are_not_the_published_ones_are_not_started_from(
    content: bytes, kept: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.parent.mkdir()
    kept.write_bytes(content)
    with caplog.at_level(logging.WARNING, "cry_pipeline"):
        assert imagenet() == StartingWeights()
    assert f"{kept} has the sha256" in caplog.text
    kept.unlink()
    _serve(content, monkeypatch)
    assert imagenet() == StartingWeights()
    assert list(kept.parent.iterdir()) == []


def test_weights_that_are_fetched_are_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(CONTENT, monkeypatch)
    assert imagenet() == StartingWeights(SHA256, kept)
    assert kept.read_bytes() == CONTENT


def test_a_file_that_changes_under_a_run_ends_it(kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_bytes(CONTENT)
    found = imagenet()
    kept.write_bytes(b"others")
    with pytest.raises(ResolutionError, match="no more the file that the run started from"):
        found.read()
    kept.unlink()
    with pytest.raises(ResolutionError, match="cannot be read"):
        found.read()


def test_a_run_without_networks_looks_for_nothing(kept: Path) -> None:
    assert resolve([], "gpu") is None
    assert resolve([LfebAttentionLstmSpec(kind="lfeb_attention_lstm")], "cpu") == ON_A_CPU


def _serve(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = requests.Response()
    answer.status_code = 200
    answer._content = content
    monkeypatch.setattr(requests, "get", lambda *_, **__: answer)
