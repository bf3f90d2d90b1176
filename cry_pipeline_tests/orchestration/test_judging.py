"""The sensor of judgements: waits while people judge, asks until the manifest is made of them, gives up in words."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from cry_pipeline.corpus.judgements import (
    Judgement,
    add_judgement,
    judgements_digest,
    read_judgements,
    write_judgements,
)
from cry_pipeline.definitions import build_definitions
from cry_pipeline.digests import sha256_of
from cry_pipeline.orchestration import automation
from cry_pipeline.orchestration.asset_keys import INVENTORY, JUDGEMENTS, RECORDINGS
from cry_pipeline.orchestration.conditions import ATTEMPTS
from cry_pipeline.orchestration.judging import JUDGED_TAG, judging_sensor
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings


class House:
    """An installation of which only the materializations are there."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance

    def judge(self, minutes_ago: float, who: str = "Ann", verdict: str = "cry") -> Path:
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        content = {"recording_id": sha256_of(b"a"), "verdict": verdict, "who": who, "at": at}
        return (
            self.settings.judgements
            / f"{add_judgement(self.settings.judgements, Judgement.model_validate(content))}.json"
        )

    def ask(self) -> dg.RunRequest | dg.SkipReason:
        context = dg.build_sensor_context(instance=self.instance, resources={"workspace": Workspace.of(self.settings)})
        answer = judging_sensor(context)
        assert isinstance(answer, (dg.RunRequest, dg.SkipReason))
        return answer

    def said(self) -> str:
        answer = self.ask()
        assert isinstance(answer, dg.SkipReason)
        return str(answer.skip_message)

    def make(self, *keys: dg.AssetKey) -> None:
        """Note that assets were made of the judgements of now."""
        judged = read_judgements(self.settings.judgements)
        now = judgements_digest(judged)
        for key in keys:
            tags = {"dagster/data_version": now if key == JUDGEMENTS else "version"}
            if key == RECORDINGS:
                tags[f"dagster/input_data_version/{JUDGEMENTS.to_user_string()}"] = now
            if key == JUDGEMENTS:
                write_judgements(self.settings.manifests / "judgements.parquet", judged)
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))

    def try_in_vain(self, answer: dg.RunRequest) -> None:
        create_run_for_test(self.instance, job_name="ingest", status=dg.DagsterRunStatus.FAILURE, tags=answer.tags)


@pytest.fixture
def house(settings: Settings) -> House:
    return House(settings, dg.DagsterInstance.ephemeral())


@pytest.fixture
def ingested(house: House) -> House:
    house.make(INVENTORY, JUDGEMENTS, RECORDINGS)
    return house


def test_it_runs_by_itself(settings: Settings) -> None:
    (sensor,) = (each for each in build_definitions(settings).sensors or () if each.name == "judging_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_it_waits_while_people_judge(ingested: House) -> None:
    assert "made of the judgements that there are" in ingested.said()
    ingested.judge(minutes_ago=20)
    ingested.judge(minutes_ago=1, who="Ben")
    assert "2 judgements are new, and people are still judging" in ingested.said()


def test_it_asks_once_nobody_has_judged_for_a_while_and_not_again(ingested: House) -> None:
    ingested.judge(minutes_ago=6)
    assert isinstance(ingested.ask(), dg.RunRequest)
    ingested.make(JUDGEMENTS, RECORDINGS)
    assert "made of the judgements that there are" in ingested.said()


def test_who_judges_on_and_on_does_not_keep_the_first_from_being_taken_in(ingested: House) -> None:
    ingested.judge(minutes_ago=61)
    ingested.judge(minutes_ago=0, who="Ben")
    assert isinstance(ingested.ask(), dg.RunRequest)


def test_old_judgements_that_were_taken_in_do_not_count_as_waiting(ingested: House) -> None:
    ingested.judge(minutes_ago=300)
    ingested.make(JUDGEMENTS, RECORDINGS)
    ingested.judge(minutes_ago=1, who="Ben")
    assert "1 judgements are new, and people are still judging" in ingested.said()


def test_a_clock_that_was_set_back_does_not_hold_it_up_for_ever(ingested: House) -> None:
    ingested.judge(minutes_ago=-24 * 60)
    assert isinstance(ingested.ask(), dg.RunRequest)


def test_a_judgement_that_was_removed_is_news(ingested: House) -> None:
    path = ingested.judge(minutes_ago=1)
    ingested.make(JUDGEMENTS, RECORDINGS)
    path.unlink()
    assert isinstance(ingested.ask(), dg.RunRequest)


def test_a_manifest_that_was_not_made_of_them_is_asked_for_though_the_table_was(ingested: House) -> None:
    ingested.judge(minutes_ago=1)
    ingested.make(JUDGEMENTS)
    assert isinstance(ingested.ask(), dg.RunRequest)


def test_what_fails_is_asked_for_again_under_another_key_and_given_up_in_words(
    ingested: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "WAITS_S", (0,) * len(automation.WAITS_S))
    ingested.judge(minutes_ago=6)
    keys = set()
    for _ in range(ATTEMPTS):
        answer = ingested.ask()
        assert isinstance(answer, dg.RunRequest)
        assert answer.tags[JUDGED_TAG]
        keys.add(answer.run_key)
        ingested.try_in_vain(answer)
    assert len(keys) == ATTEMPTS
    assert f"{ATTEMPTS} runs failed to take them in" in ingested.said()


def test_it_does_not_ask_while_a_run_is_at_it(ingested: House) -> None:
    ingested.judge(minutes_ago=6)
    create_run_for_test(ingested.instance, job_name="everything", status=dg.DagsterRunStatus.STARTED)
    assert "(everything) is at it" in ingested.said()


def test_before_anything_was_ingested_and_where_a_file_is_damaged_it_says_so(house: House) -> None:
    assert "Nothing has been ingested yet" in house.said()
    house.make(INVENTORY)
    house.judge(minutes_ago=6).write_text("{}")
    assert "cannot be read" in house.said()
