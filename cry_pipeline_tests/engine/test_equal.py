"""A whole installation made by Ray is the one that this machine's processes make: digests, and what lies under them."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.artefacts import read_json
from cry_pipeline.catalog import load_catalog
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.settings import Settings
from cry_pipeline_tests.orchestration.installations import ODD, REFUSED, Installation, RecordedRun

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def by_ray(first_run: tuple[Installation, RecordedRun], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of an installation that a Ray of two workers has made."""
    import ray

    data = tmp_path_factory.mktemp("by_ray") / "data"
    settings = first_run[0].settings.model_copy(update={"data": data, "engine": "ray", "workers": 2})
    _lay_in_the_same(first_run[0].settings, settings.inbox)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        result = Installation(settings).run()
        assert result.success, [event.step_key for event in result.all_events if event.is_step_failure]
        yield settings
    ray.shutdown()


def versions(settings: Settings) -> dict[str, str]:
    """The data version of every asset, by its key, but of pages: these tell when something was made."""
    with Installation(settings).instance() as instance:
        found = {}
        for key in [key for key in instance.all_asset_keys() if key.path[0] != "reports"]:
            event = instance.get_latest_materialization_event(key)
            if event is not None and event.asset_materialization is not None:
                found[key.to_user_string()] = str((event.asset_materialization.tags or {})["dagster/data_version"])
        return found


def test_every_asset_has_the_same_data_version(first_run: tuple[Installation, RecordedRun], by_ray: Settings) -> None:
    expected = versions(first_run[0].settings)
    assert versions(by_ray) == expected
    assert {key.partition("/")[0] for key in expected} >= {"features", "folds", "runs", "evidence", "models"}


def test_features_are_the_same_to_the_last_bit_and_each_is_there_once(
    first_run: tuple[Installation, RecordedRun], by_ray: Settings
) -> None:
    one, other = first_run[0].settings, by_ray
    manifest = pd.read_parquet(one.manifests / "recordings.parquet")
    for spec in load_catalog(one.catalog).feature_sets.values():
        stores = [FeatureStore.open(of.features, spec).of(samples_of(manifest)) for of in (one, other)]
        ids = sorted(stores[0].recording_ids())
        assert ids == sorted(stores[1].recording_ids())
        rows = [store.read(ids, store.kinds) for store in stores]
        for kind in stores[0].kinds:
            np.testing.assert_array_equal(rows[0].arrays[kind], rows[1].arrays[kind])
        held = [key for part in stores[1].index.present.values() for key in part.rows]
        assert len(held) == len(set(held))


@pytest.mark.parametrize("files", ["runs/*/*/fold-*/predictions.parquet", "runs/*/*/fold-*/checkpoint.safetensors"])
def test_folds_are_the_same_to_the_last_bit(
    files: str, first_run: tuple[Installation, RecordedRun], by_ray: Settings
) -> None:
    expected, found = ({path.relative_to(of): path for path in of.glob(files)} for of in _data(first_run, by_ray))
    assert found.keys() == expected.keys()
    assert expected
    assert [path for path in expected if expected[path].read_bytes() != found[path].read_bytes()] == []


def test_nulls_and_evidence_say_the_same(first_run: tuple[Installation, RecordedRun], by_ray: Settings) -> None:
    for files in ("nulls/*/*/null.json", "evidence/*/*/evidence.json"):
        expected, found = ({path.relative_to(of): path for path in of.glob(files)} for of in _data(first_run, by_ray))
        assert found.keys() == expected.keys()
        assert expected, files
        assert [path for path in expected if read_json(expected[path]) != read_json(found[path])] == []


def test_a_second_run_computes_nothing(by_ray: Settings, caplog: pytest.LogCaptureFixture) -> None:
    before = versions(by_ray)
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        assert Installation(by_ray).run().success
    assert versions(by_ray) == before
    assert "computed=0" in caplog.text
    assert not [
        line for line in caplog.messages if "folds" in line and "computed=" in line and "computed=0" not in line
    ]


def _lay_in_the_same(other: Settings, inbox: Path) -> None:
    """Put the donations of the other installation into ``inbox``; made again, their files would hold another time."""
    (taken,) = [path for path in Path(other.archive).glob("*/*") if not path.suffix]
    inbox.mkdir(parents=True)
    shutil.copy(taken, inbox / ODD)
    shutil.copy(other.inbox / REFUSED, inbox)


def _data(first_run: tuple[Installation, RecordedRun], by_ray: Settings) -> tuple[Path, Path]:
    return first_run[0].settings.data, by_ray.data
