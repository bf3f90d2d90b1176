"""Images are made once a run, equal in memory and mapped from a file, and read a few recordings at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cry_pipeline.catalog import Catalog, EnsembleSpec, LfebAttentionLstmSpec
from cry_pipeline.features.hybrid import RowStandardiser, hybrid_images
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.training import run_images as images_module
from cry_pipeline.training.datasets import Rows, rows_of, select
from cry_pipeline.training.fitted_network import batches_of
from cry_pipeline.training.run_images import images_of, resident_kinds, with_images
from cry_pipeline_tests.training.made_up import CLASSES


@pytest.fixture
def rows(folds: pd.DataFrame, features: FeatureRows) -> Rows:
    return rows_of(folds, CLASSES, select(features, features.recording_ids, ()))


@pytest.mark.parametrize("memory_mib", [0, 100])
def test_kept_images_are_those_of_the_recordings_wherever_they_lie(
    memory_mib: int,
    rows: Rows,
    features: FeatureRows,
    spec: LfebAttentionLstmSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images_module, "CHUNK", 7)
    asked: list[int] = []

    def read(ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        asked.append(len(ids))
        return select(features, ids, kinds)

    with with_images(rows, spec, read, memory_mib=memory_mib, folder=tmp_path) as seen:
        assert max(asked) == 7
        assert bool(list(tmp_path.iterdir())) == (memory_mib == 0)
        wanted = [rows.recording_ids[position] for position in (33, 4, 59)]
        kept = images_of(seen.take(wanted), spec)
        expected, lengths = hybrid_images(select(features, wanted, spec.planes), spec.bins, spec.frame_pool)
        found = kept.images[kept.positions]
        torch.testing.assert_close(found[..., : expected.shape[3]], expected)
        assert (found[..., expected.shape[3] :] == 0).all()
        assert torch.equal(kept.own_lengths, lengths)
        assert kept.mapped == (memory_mib == 0)
    assert list(tmp_path.iterdir()) == []


def test_batches_are_equal_in_memory_and_mapped(
    rows: Rows, features: FeatureRows, spec: LfebAttentionLstmSpec, tmp_path: Path
) -> None:
    cut = {}
    for memory_mib in (0, 100):
        read = lambda ids, kinds: select(features, ids, kinds)  # noqa: E731
        with with_images(rows, spec, read, memory_mib=memory_mib, folder=tmp_path) as seen:
            part = images_of(seen.take(rows.recording_ids[10:40]), spec)
            standardiser = RowStandardiser.fit(part.images, part.own_lengths, part.positions)
            cut[memory_mib] = list(batches_of(part, standardiser, torch.arange(30), 8, shuffle_seed=2))
    for mapped, held in zip(cut[0], cut[100], strict=True):
        for one, other in zip(mapped, held, strict=True):
            torch.testing.assert_close(one, other)


def test_one_plane_is_that_plane_of_the_hybrid(rows: Rows, features: FeatureRows, spec: LfebAttentionLstmSpec) -> None:
    whole = hybrid_images(features, spec.bins, spec.frame_pool)[0]
    for number, plane in enumerate(spec.planes):
        single = spec.model_copy(update={"planes": (plane,)})
        only = rows_of(rows.table.assign(repeat=0, fold=0), CLASSES, select(features, features.recording_ids, (plane,)))
        torch.testing.assert_close(images_of(only, single).images[:, 0], whole[:, number])


def test_members_with_equal_images_share_them_and_other_kinds_stay_arrays(
    rows: Rows, features: FeatureRows, catalog: Catalog, spec: LfebAttentionLstmSpec, tmp_path: Path
) -> None:
    mel = spec.model_copy(update={"planes": ("mel",)})
    specs = (spec, spec.model_copy(update={"dropout": 0.5}), mel, catalog.models["svm"])
    ensemble = EnsembleSpec.model_construct(kind="ensemble", members=("a", "b", "c", "d"), specs=specs)
    read = lambda ids, kinds: select(features, ids, kinds)  # noqa: E731
    assert resident_kinds(ensemble) == ("statistics",)
    with with_images(rows, ensemble, read, memory_mib=100, folder=tmp_path) as seen:
        assert len(seen.images) == 2
        np.testing.assert_array_equal(images_of(seen, mel).images[:, 0], images_of(seen, spec).images[:, 1])
