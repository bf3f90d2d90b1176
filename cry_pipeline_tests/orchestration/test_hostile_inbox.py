"""What strangers call their files reaches Dagster's event log as text, and no run fails by it."""

import json
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.orchestration.assets.intake import donations
from cry_pipeline.orchestration.assets.judgements import judgements
from cry_pipeline.orchestration.assets.manifests import inventory, manifest_assets
from cry_pipeline.orchestration.automation import inbox_sensor
from cry_pipeline.orchestration.checks import donations_taken
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings
from cry_pipeline_tests.corpus.conftest import SmallCorpus, android, tone, write
from cry_pipeline_tests.hostile import names_of_files, unseen


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An inbox of files, sidecars, folders and unfinished files by every hostile name, and one good recording."""
    small = SmallCorpus(tmp_path)
    small.write(f"inbox/{android()}.wav")
    for name in names_of_files():
        write(tmp_path / "inbox" / name, name.encode("utf-8", "surrogateescape"))
        write(tmp_path / "inbox" / f"{name}.json", json.dumps({name: name}).encode())
        (tmp_path / "inbox" / f"{name}.part").touch()
        for reason in ("hu", "ti"):  # twins that contradict each other
            small.write(f"inbox/{name} folder/{android(reason=reason)}.wav", tone(hz=500))
    return Workspace.of(Settings(data=tmp_path, corpus=tmp_path / "corpus", workers=1))


def texts_of(content: Any) -> list[str]:
    """Return every text in what Dagster keeps as JSON."""
    if isinstance(content, str):
        return [content]
    inside = (
        [*content, *content.values()] if isinstance(content, dict) else content if isinstance(content, list) else []
    )
    return [text for one in inside for text in texts_of(one)]


def test_names_reach_the_event_log_as_text(workspace: Workspace, capfd, caplog) -> None:
    caplog.set_level(logging.INFO)
    assets = [donations, inventory, judgements, manifest_assets(load_catalog()), donations_taken]
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(assets, resources={"workspace": workspace}, instance=instance)
        logged = instance.all_logs(run.run_id)
        sensed = inbox_sensor(dg.build_sensor_context(instance=instance, resources={"workspace": workspace}))
    assert run.success
    texts = [text for event in logged for text in (event.user_message, event.message)]
    made = [event.materialization for event in run.get_asset_materialization_events()]
    assert len(made) == 5
    for metadata in (one.metadata for one in made):
        markdown = {label for label, value in metadata.items() if isinstance(value, dg.MarkdownMetadataValue)}
        assert markdown <= {"reasons and durations"}, "our own picture"
        texts += [text for value in metadata.values() for text in texts_of(json.loads(dg.serialize_value(value)))]  # type: ignore[arg-type]
    assert len(texts) > 50
    assert not [text for text in texts if unseen(text) - {"\n"}]
    assert unseen("".join(capfd.readouterr())) <= {"\n", "\x1b"}, "Dagster's colours"
    assert isinstance(sensed, dg.SkipReason | dg.RunRequest)
