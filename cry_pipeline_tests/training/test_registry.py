"""The registry covers the catalog, and costs nothing to look at."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from cry_pipeline.catalog import ModelSpec, load_catalog
from cry_pipeline.training.checkpoints import Checkpoint, CheckpointError, write_checkpoint
from cry_pipeline.training.registry import MODELS, implementation, load_model


def test_every_kind_of_model_that_the_catalog_allows_is_registered() -> None:
    union, _ = get_args(ModelSpec)
    kinds = {get_args(spec.model_fields["kind"].annotation)[0] for spec in get_args(union)}
    assert kinds == set(MODELS)
    assert {model.kind for model in load_catalog().models.values()} <= kinds


def test_an_unknown_kind_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(KeyError, match="'resnet' is registered; known: ensemble, hist_gradient_boosting, lfeb"):
        implementation("resnet")


LFEB = {"kind": "lfeb_attention_lstm"}
SOUND = Checkpoint("majority", ("a", "b"), {"kind": "majority"}, {"frequencies": np.array([0.5, 0.5])})


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: replace(checkpoint, kind="of a newer version"),
        lambda checkpoint: replace(checkpoint, kind=["majority"]),
        lambda checkpoint: replace(checkpoint, spec={**LFEB, "of_a_newer_version": 1}, kind="lfeb_attention_lstm"),
        lambda checkpoint: replace(checkpoint, spec=3, kind="lfeb_attention_lstm"),
        lambda checkpoint: replace(checkpoint, spec=LFEB, kind="lfeb_attention_lstm"),  # without its tensors
        lambda checkpoint: replace(checkpoint, classes=3),
    ],
)
def test_a_checkpoint_of_another_version_ends_in_a_sentence(
    change: Callable[[Checkpoint], Any], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, change(SOUND))
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2**40).to_bytes(8, "little") + b"{}",
        (2**26).to_bytes(8, "little") + b"[" * 2**26,
        (80).to_bytes(8, "little") + b'{"a": {"dtype": "F64", "shape": [999999999], "data_offsets": [0, 8]}}'.ljust(80),
        (60).to_bytes(8, "little") + b'{"__metadata__": {"cry_pipeline": "[[[["}}'.ljust(60),
        (60).to_bytes(8, "little") + b'{"__metadata__": {"cry_pipeline": "3"}}'.ljust(60),
        (60).to_bytes(8, "little") + b'{"__metadata__": {"cry_pipeline": "[1]"}}'.ljust(60),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_model(path)


def test_a_pipe_in_a_checkpoint_s_place_is_refused_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "checkpoint.safetensors")
    with pytest.raises(CheckpointError, match="no file"):
        load_model(tmp_path / "checkpoint.safetensors")


def test_looking_at_revisions_imports_nothing_heavy() -> None:
    code = (
        "import sys, cry_pipeline.training.registry as r; r.MODELS['lfeb_attention_lstm'].revision;"
        "print([m for m in ('torch', 'pytorch_lightning', 'sklearn', 'pandas', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
