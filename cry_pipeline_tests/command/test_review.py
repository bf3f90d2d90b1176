"""`cry-pipeline review`: blind lists, verdicts by the beginning of an id, all or none of them."""

import pytest
from typer.testing import CliRunner

from cry_pipeline.command.review import review_app
from cry_pipeline.corpus.judgements import JudgementError, latest_of_each, read_judgements
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.settings import Settings
from cry_pipeline_tests.reports.test_manifest_page import recording

FIRST, SECOND = (recording(number)["recording_id"] for number in range(2))


def call(*arguments: str) -> str:
    result = CliRunner().invoke(review_app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(autouse=True)
def donated(settings: Settings) -> Settings:
    rows = [recording(number, number, root="archive", source="inbox") for number in range(2)]
    RECORDINGS.write(settings.manifests / "recordings.parquet", RECORDINGS.table_of(rows), "digest")
    return settings


def test_what_is_asked_for_is_listed_until_it_is_judged(donated: Settings) -> None:
    assert FIRST in call("list", "--who", "Ann")
    assert "says Ann" in call("accept", FIRST[:8], "--who", "Ann", "--reason", "hungry", "--heard", "3")
    text = call("list", "--who", "Ann")
    assert FIRST not in text
    assert SECOND in text
    assert "Ann has judged 1 recordings and is asked for 1." in text
    assert "hungry" in call("list", "--judged", "--who", "Ann")
    call("reject", SECOND.upper(), "--unusable", "--who", "Ann")
    said = latest_of_each(read_judgements(donated.judgements)).set_index("recording_id")
    assert said["verdict"].to_dict() == {FIRST: "cry", SECOND: "unusable"}
    assert said["heard_s"].to_dict() == {FIRST: 3.0, SECOND: 0.0}
    assert f"Taken back: {SECOND}" in call("undo", "--who", "Ann")
    assert SECOND in call("list", "--who", "Ann")


def test_what_another_said_is_not_shown_unless_asked_for() -> None:
    call("accept", FIRST, "--who", "Ben")
    assert "Ben" not in call("show", FIRST, "--who", "Ann")
    assert "Ben" in call("show", FIRST, "--who", "Ann", "--all")


def test_of_several_verdicts_all_are_kept_or_none(donated: Settings) -> None:
    for wrong in ("fedcba987654", FIRST[:5], ""):
        with pytest.raises(JudgementError, match="means 0 of the recordings"):
            call("accept", FIRST, wrong, "--who", "Ann")
    assert read_judgements(donated.judgements).empty


def test_where_nothing_was_said_nothing_is_taken_back() -> None:
    assert "nothing that could be taken back" in call("undo", "--who", "Ann")
    assert "Nothing." in call("list", "--judged", "--who", "Ann")
