"""Folds that others train: the same bits, wherever they come from, and a sentence where they do not come."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.engine import EngineError
from cry_pipeline.storage.bucket import Bucket
from cry_pipeline.storage.root import DataRoot
from cry_pipeline.training import fold_work
from cry_pipeline.training.fold_folders import CHECKPOINT
from cry_pipeline.training.fold_training import FoldTraining
from cry_pipeline.training.runs import RunResult
from cry_pipeline_tests.engine.elsewhere import Elsewhere
from cry_pipeline_tests.training.made_up import MAJORITY, NETWORK, REGRESSION


@pytest.fixture(autouse=True)
def _no_rows_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_work, "_rows_here", {})


@pytest.mark.parametrize(("name", "memory_mib"), [(REGRESSION, 2048), (NETWORK, 0)])
def test_folds_trained_elsewhere_have_the_same_bits(
    name: str, memory_mib: int, train: Callable[..., RunResult], tmp_path: Path
) -> None:
    alone = train(name)
    other = train(name, engine=Elsewhere(), memory_mib=memory_mib, runs=tmp_path / "together")
    assert (other.digest, other.computed, other.reused) == (alone.digest, 3, 0)
    pd.testing.assert_frame_equal(other.predictions, alone.predictions, check_exact=True)
    for fold in range(3):
        files = [run.folder / f"fold-0-{fold}" / CHECKPOINT for run in (alone, other)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert len(fold_work._rows_here) == 1, "rows are read once for all folds"


def test_what_all_folds_read_is_read_once_and_that_of_the_run_before_is_let_go(train: Callable[..., RunResult]) -> None:
    for name in (REGRESSION, MAJORITY):
        digest = train(name, engine=Elsewhere()).digest
        assert list(fold_work._rows_here) == [digest]


def test_nodes_that_share_a_bucket_alone_get_folds_through_it(
    train: Callable[..., RunResult], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = train()
    trained_in = []
    monkeypatch.setattr(
        FoldTraining,
        "train",
        lambda self, *given, train=FoldTraining.train: trained_in.append(self.run) or train(self, *given),
    )
    here, there = (DataRoot(Bucket(f"{bucket}/root"), tmp_path / node) for node in ("here", "there"))
    run = train(engine=Elsewhere(), root=here, runs=here.folder / "runs")
    pd.testing.assert_frame_equal(run.predictions, alone.predictions, check_exact=True)
    assert run.computed == 3
    assert not any(folder.is_relative_to(here.folder) for folder in trained_in)
    there.pull()
    again = train(engine=Elsewhere(), root=there, runs=there.folder / "runs", features=None)
    assert (again.digest, again.computed, again.reused) == (run.digest, 0, 3)
    pushed = here.push(["runs"])
    assert pushed == [f"runs/{REGRESSION}/current.json"], "what came through the bucket is not put there again"


def test_a_fold_that_is_not_to_be_seen_here_or_there_is_said(
    train: Callable[..., RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FoldTraining, "train", lambda *_: None)
    with pytest.raises(EngineError, match="fold-0-2 was trained on another machine and is not to be seen here"):
        train(engine=Elsewhere())
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    with pytest.raises(EngineError, match="is not there on this node: all nodes need the data folder"):
        train(engine=Elsewhere(), runs=tmp_path / "not here")
