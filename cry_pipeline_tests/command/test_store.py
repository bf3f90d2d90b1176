"""`cry-pipeline store`: what is kept, whether it is sound, who needs it, and what may go."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cry_pipeline.artefacts import write_json
from cry_pipeline.catalog import load_catalog
from cry_pipeline.command.store import store_app
from cry_pipeline.features.kinds import kept_kinds
from cry_pipeline.features.store import encoding, storage
from cry_pipeline.features.store.rows import FeatureStoreError, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.features.store.users import feature_uses
from cry_pipeline.settings import Settings
from cry_pipeline_tests.features.store.looks import folder_of
from cry_pipeline_tests.stated import Stated, samples_of_name

NAME = "mel64_8k"


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(store_app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def store(settings: Settings) -> FeatureStore:
    """A store of the catalog's first feature set with two parts of one recording each."""
    store = FeatureStore.open(settings.features, load_catalog(None).feature_sets[NAME]).of(Stated())
    fill(store)
    return store


def fill(store: FeatureStore) -> None:
    for name in ("a", "b"):
        values = {
            kind: np.full((3, about.width(store.spec))[about.rows == "recording" :], -50.0, about.dtype)
            for kind, about in kept_kinds(store.spec).items()
        }
        store.write(stack_rows({name: values}, [samples_of_name(name)]))


@pytest.fixture
def run(settings: Settings, store: FeatureStore) -> Path:
    """The record of a fold that was trained on what there is."""
    path = settings.runs / "cleaned_logistic_regression" / "0123456789abcdef" / "fold-0-0" / "provenance.json"
    path.parent.mkdir(parents=True)
    record = {"made_from": {"inputs": {"features": store.digest}}, "feature_parts": store.snapshot().parts}
    path.write_text(json.dumps(record))
    return path


def test_ls_shows_what_is_stored_of_each_set_and_of_sets_that_left_the_catalog(store: FeatureStore) -> None:
    old = folder_of(store).with_name("f" * 64)
    (old / "parts" / ("0" * 32)).mkdir(parents=True)
    status, said = call("ls")
    assert status == 0
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    assert lines[NAME][1:4] == [store.digest[:12], "2", "2"]
    assert "f" * 12 in said
    assert "(not in the catalog)" in said


def test_info_tells_parameters_and_users(store: FeatureStore, run: Path) -> None:
    status, said = call("info", NAME)
    assert status == 0
    words = [line.split() for line in said.splitlines()]
    for row in (["digest", store.digest], ["recordings", "2"], ["parts", "2"], ["mels", "64"]):
        assert row in words
    assert ["run", f"{run.parents[2].name}/{run.parents[1].name}"] in words
    experiments = [name for name, about in load_catalog(None).experiments.items() if about.feature_set == NAME]
    assert experiments
    assert [line[1] for line in words if line[:1] == ["experiment"]] == experiments


def test_commands_work_on_a_bucket(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRY_PIPELINE_FEATURE_STORE", f"{bucket}/features")
    store = FeatureStore.open(f"{bucket}/features", load_catalog(None).feature_sets[NAME]).of(Stated())
    fill(store)
    listed = [line.split() for line in call("ls")[1].splitlines() if line.strip()]
    assert [words[2:4] for words in listed if words[0] == NAME] == [["2", "2"]]
    assert f"{bucket}/features/{store.digest}" in call("info", NAME)[1]
    assert call("verify", NAME)[0] == 0
    assert call("compact", NAME)[1].startswith(f"{NAME}: 2 parts → 1")
    assert call("gc", NAME)[1].startswith("0 items")
    assert store.recording_ids() == {"a", "b"}


def test_unknown_feature_set_is_named(store: FeatureStore) -> None:
    for command in ("info", "verify", "compact", "gc"):
        with pytest.raises(ValueError, match=f"no feature set 'mel99'; the catalog has .*{NAME}"):
            call(command, "mel99")


def test_verify_says_what_is_wrong_with_exit_code_1(store: FeatureStore) -> None:
    assert call("verify", NAME) == (0, f"{NAME}: 2 parts, 0.0 MB: sound\n")
    part = store.snapshot().parts[0]
    (folder_of(store) / "parts" / part / "mel" / "c.0.0").unlink()
    status, said = call("verify")
    assert status == 1
    assert f"{NAME}: 2 parts" in said
    assert "1 faults" in said
    assert f"{part}: mel/c.0.0 cannot be read" in said


def test_compact_then_gc_lists_and_only_when_told_removes_what_no_run_needs(
    store: FeatureStore, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = store.snapshot().parts
    monkeypatch.setattr(encoding, "datetime", YearsAgo)
    assert call("compact", NAME) == (0, f"{NAME}: 2 parts → 1, 0.0 MB\n")
    monkeypatch.undo()
    monkeypatch.setenv("CRY_PIPELINE_DATA", str(folder_of(store).parents[1]))
    assert call("gc", NAME)[1].startswith("0 items")  # the run needs them
    run.unlink()
    status, said = call("gc", NAME)
    assert status == 0
    assert all(f"parts/{name}" in said for name in sources)
    assert "2 items" in said
    assert "would be removed; do it with --remove" in said
    assert all((folder_of(store) / "parts" / name).exists() for name in sources)
    assert "removed." in call("gc", NAME, "--remove")[1]
    assert not any((folder_of(store) / "parts" / name).exists() for name in sources)
    assert store.recording_ids() == {"a", "b"}


class YearsAgo(datetime):
    """A clock that is behind."""

    @classmethod
    def now(cls, tz=None) -> datetime:
        return datetime(2020, 1, 1, tzinfo=UTC)


def test_feature_sets_of_no_catalog_go_only_when_asked_for_and_not_while_a_run_needs_them(
    store: FeatureStore, run: Path
) -> None:
    old, used = (folder_of(store).with_name(digit * 64) for digit in "ef")
    for folder in (old, used):
        (folder / "parts").mkdir(parents=True)
        for path in (folder, folder / "parts"):
            os.utime(path, (0, 0))
    run.write_text(json.dumps({"made_from": {"inputs": {"features": used.name}}, "feature_parts": []}))
    call("gc", "--remove")
    assert old.exists()
    assert old.name in call("gc", "--unlisted")[1]
    assert old.exists()
    call("gc", "--unlisted", "--remove")
    assert not old.exists()
    assert used.exists()
    assert store.recording_ids() == {"a", "b"}


def test_nothing_is_collected_while_a_record_of_a_run_cannot_be_read(store: FeatureStore, run: Path) -> None:
    assert [use.parts for use in feature_uses(run.parents[3])] == [frozenset(store.snapshot().parts)]
    write_json(run, json.loads(run.read_text()))
    assert [use.parts for use in feature_uses(run.parents[3])] == [frozenset(store.snapshot().parts)]
    part = store.snapshot().parts[0]
    for text in ("", "{}", "[1]", run.read_text().replace(part, "0" * 32)):
        run.write_text(text)
        with pytest.raises(FeatureStoreError, match="not known which features its run needs"):
            call("gc", "--remove")


def test_commands_import_nothing_heavy() -> None:
    heavy = {"torch", "dagster", "numpy", "pandas", "zarr", "tensorstore", "rich.table"}
    script = f"import sys, cry_pipeline.command.store; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_part_is_old_enough_for_any_reader_of_a_day() -> None:
    assert storage.READERS_S == 24 * 3600
