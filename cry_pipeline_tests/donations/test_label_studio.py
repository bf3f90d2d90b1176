"""Label Studio: tasks tell nothing but the sound, and what people say there is kept once, whole or not at all."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cry_pipeline.corpus.judgements import JUDGEMENTS, JudgementError, latest_of_each, read_judgements
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.donations.label_studio import (
    INTERFACE,
    TASKS,
    LabelStudioError,
    import_judgements,
    interface,
    tasks_of,
    write_tasks,
)
from cry_pipeline.donations.review import ASKED, Asked
from cry_pipeline.settings import Settings
from cry_pipeline_tests.reports.test_manifest_page import recording

FIRST, SECOND = (recording(number)["recording_id"] for number in range(2))


@pytest.fixture
def donated(settings: Settings) -> Settings:
    rows = [recording(number, number, root="archive", source="inbox") for number in range(2)]
    RECORDINGS.write(settings.manifests / "recordings.parquet", RECORDINGS.table_of(rows), "digest")
    return settings


def annotation(verdict: str | None, *, at: str = "2026-11-20T10:00:00.000000Z", **more: Any) -> dict[str, Any]:
    """Return an annotation as Label Studio 1.x exports it, with what we do not read."""
    chosen = {"verdict": verdict} | ({"reason": more.pop("reason")} if "reason" in more else {})
    result = [
        {
            "id": "Dx_aB91ISN",
            "from_name": name,
            "to_name": "audio",
            "type": "choices",
            "origin": "manual",
            "value": {"choices": [value]},
        }
        for name, value in chosen.items()
        if value
    ]
    said = {"id": 7, "completed_by": 3, "was_cancelled": False, "ground_truth": False, "lead_time": 9.5}
    return said | {"result": result, "created_at": at, "updated_at": at, "unique_id": "x"} | more


def exported(folder: Path, *tasks: tuple[str, list[dict[str, Any]]]) -> Path:
    path = folder / "export.json"
    content = [
        {"id": 1, "data": {"audio": "a.wav", "recording_id": one}, "annotations": said, "predictions": [], "meta": {}}
        for one, said in tasks
    ]
    path.write_text(json.dumps(content))
    return path


def test_a_task_tells_nothing_but_the_sound() -> None:
    asked = [Asked(SECOND, "may", "contradicted"), Asked(FIRST, None, "audit")]
    tasks = tasks_of(asked, JUDGEMENTS.table_of([]), "http://here/")
    assert tasks == [
        {"data": {"audio": f"http://here/{one}.wav", "recording_id": one}, "annotations": []} for one in (SECOND, FIRST)
    ]


def test_the_interface_asks_for_what_can_be_taken() -> None:
    controls = {each.get("name"): each for each in ElementTree.fromstring(interface()).iter("Choices")}  # noqa: S314 - our own
    assert [choice.get("value") for choice in controls["verdict"]] == list(ASKED)
    assert "hungry" in {choice.get("value") for choice in controls["reason"]}


def test_what_was_said_there_is_kept_once(donated: Settings, tmp_path: Path) -> None:
    path = exported(
        tmp_path,
        (
            FIRST,
            [annotation("cry", reason="hungry"), annotation("not_cry", completed_by={"id": 4, "email": "ben@x.org"})],
        ),
        (SECOND, [annotation(None), annotation("cry", was_cancelled=True), annotation("unusable")]),
    )
    assert import_judgements(path, donated) == (3, 0, 2)
    assert import_judgements(path, donated) == (0, 3, 2)
    table = read_judgements(donated.judgements)
    said = {(row.recording_id, row.who): (row.verdict, row.reason, row.heard_s) for row in table.itertuples()}
    assert said[FIRST, "label studio 3"] == ("cry", "hungry", 9.5)
    assert said[FIRST, "ben@x.org"][0] == "not_cry"
    assert said[SECOND, "label studio 3"][0] == "unusable"
    assert set(table["origin"]) == {"import"}


def test_who_changes_their_mind_there_supersedes_and_an_old_export_does_not(donated: Settings, tmp_path: Path) -> None:
    old = exported(tmp_path, (FIRST, [annotation("cry")]))
    content = old.read_text()
    import_judgements(old, donated)
    import_judgements(exported(tmp_path, (FIRST, [annotation("not_cry", updated_at="2026-11-21T10:00:00Z")])), donated)
    old.write_text(content)
    assert import_judgements(old, donated) == (0, 1, 0)
    assert list(latest_of_each(read_judgements(donated.judgements))["verdict"]) == ["not_cry"]


def test_judgements_go_there_and_back(donated: Settings, tmp_path: Path) -> None:
    import_judgements(exported(tmp_path, (FIRST, [annotation("cry", reason="tired")])), donated, who="Ann")
    before = latest_of_each(read_judgements(donated.judgements))
    tasks = tasks_of([], before, "http://here")
    (path := tmp_path / "back.json").write_text(json.dumps(tasks))
    with pytest.raises(JudgementError, match="--who"):
        import_judgements(path, donated)
    assert import_judgements(path, donated, who="Ann") == (0, 1, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "begins with no list"),
        ("[", "no JSON"),
        ("\xff", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('[{"data": {}}]', "data.recording_id"),
        ('[{"data": {"recording_id": "' + "0" * 64 + '"}, "annotations": []}]', "which nobody is asked for here"),
        (("cry", {"at": "yesterday"}), "created_at"),
        (("bark", {}), "one of cry, not_cry, unusable"),
        (("cry", {"reason": "bored"}), "reason"),
        (("cry", {"completed_by": {"email": "a\x00b"}}), "who"),
        (("cry", {"lead_time": -1}), "lead_time"),
    ],
)
def test_what_is_not_ours_is_refused_in_words_and_nothing_is_kept(
    donated: Settings, tmp_path: Path, content: Any, said: str
) -> None:
    path = tmp_path / "export.json"
    if isinstance(content, str):
        path.write_bytes(content.encode("latin-1"))
    else:
        exported(tmp_path, (SECOND, [annotation("cry")]), (FIRST, [annotation(content[0], **content[1])]))
    with pytest.raises(LabelStudioError, match=said):
        import_judgements(path, donated)
    assert read_judgements(donated.judgements).empty


def test_an_export_is_never_mixed_with_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write_tasks(folder, [{"data": {}}], [(FIRST, b"RIFF")])
    assert sorted(path.name for path in folder.rglob("*.*")) == sorted([f"{FIRST}.wav", INTERFACE, TASKS])
    with pytest.raises(LabelStudioError, match="not empty"):
        write_tasks(folder, [], [])
