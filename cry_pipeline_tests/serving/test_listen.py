"""What the page listen is told of a sound, that nothing of it is stored, and who answers when the champion changes."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request

from cry_pipeline.inference.champions import champion_folder, promotion, switch
from cry_pipeline.inference.predict import Prediction, Predictor, Segment
from cry_pipeline.serving import listen
from cry_pipeline.serving.listen import answer_of
from cry_pipeline_tests.corpus.audio_files import encoded, wav
from cry_pipeline_tests.serving.asking import Visitor, answered, scope_of
from cry_pipeline_tests.serving.sites import Site, promoted

ASK = "/listen/answer"
SOUND = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 8000)).astype(np.float32)
SOUNDING = np.tile(SOUND, 6)
"""For codecs that know no rate so low."""
written: list[str] | None = None
"""Places that this process has opened for writing, while it is a list."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if written is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        written.append(os.fsdecode(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink", "tempfile.mkstemp", "tempfile.mkdtemp"):
        written.append(f"{event} {arguments[0]}")


@pytest.fixture(scope="module")
def _hook() -> None:
    sys.addaudithook(_note)  # for ever: there is no way to take one away


@pytest.fixture
def noted(_hook: None) -> Iterator[list[str]]:
    """What this process opens for writing or makes meanwhile."""
    global written
    written = []
    yield written
    written = None


@pytest.fixture
def listener(own_site: Site) -> Visitor:
    """One who asks a champion."""
    promoted(own_site.settings, "a" * 64)
    return Visitor.of(own_site)


def test_answer_is_that_of_the_command(listener: Visitor, own_site: Site, tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(wav(SOUND))
    said = Predictor(champion_folder(own_site.settings.models, "a" * 64)).predict(tmp_path / "sound.wav")
    sound = wav(SOUND)
    answer = listener.post(ASK, sound[:1000], sound[1000:])
    assert answer.status == 200
    assert answer.json == answer_of(said)
    assert f"{answer.json['said']}; {answer.json['reason']}" == said.verdict
    assert answer.headers["cache-control"] == "no-store"


def test_answer_says_when_how_sure_and_why_no_reason_is_given() -> None:
    segments = [Segment(0, 12, 0.1, False), Segment(12, 19, 0.9, True), Segment(19, 60, 0.2, False)]
    verdict = "a cry (0.90, threshold 0.50) from 12 to 19 s, of 60 s; no reason is given: chance; at best"
    told = answer_of(Prediction("x", 0.9, {"tired": 1.0}, True, verdict, "b" * 16, None, 60.0, segments))
    assert told["is_cry"]
    assert told["said"] == "a cry (0.90, threshold 0.50) from 12 to 19 s, of 60 s"
    assert told["reason"] == "no reason is given: chance; at best"
    assert told["segments"][1] == {"start_s": 12, "end_s": 19, "probability": 0.9, "is_cry": True}
    assert "tired" not in str(told)


def test_nothing_of_a_sound_is_stored(
    listener: Visitor, own_site: Site, noted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there() -> set[Path]:
        return {*own_site.settings.data.rglob("*"), *elsewhere.rglob("*")}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    sounds = [wav(SOUND), encoded("webm", "libopus", SOUNDING, 48_000), b"no sound"]
    listener.post(ASK, sounds[0])  # the champion is opened, the decoder started
    listener.post(ASK, sounds[1])
    noted.clear()
    before = there()
    assert [listener.post(ASK, sound).status for sound in sounds] == [200, 200, 422]
    assert noted == []
    assert there() == before
    (own_site.settings.data / "x").write_bytes(b"")
    assert noted, "what is written would have been seen"


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libopus"), ("mp4", "aac"), ("ogg", "libopus")], ids=lambda name: name
)
def test_what_browsers_record_is_heard(listener: Visitor, container: str, codec: str) -> None:
    answer = listener.post(ASK, encoded(container, codec, SOUNDING, 48_000))
    assert answer.status == 200
    assert answer.json["segments"][0]["start_s"] == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "The file is empty."),
        (b"<html></html>" * 99, "This recording cannot be read by libav"),
        (wav(SOUND[:4000]), "This recording lasts 0.50 s; the models know recordings of at least 1 s"),
        (wav(SOUND)[:-999], "This recording states"),
    ],
    ids=["empty", "no sound", "short", "cut"],
)
def test_what_cannot_be_heard_is_refused_with_a_sentence(listener: Visitor, body: bytes, says: str) -> None:
    answer = listener.post(ASK, body)
    assert answer.status == 422
    assert answer.json["error"].startswith(says)


def test_file_that_is_too_large_is_not_read_to_its_end(listener: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "MOST_BYTES", 100)
    parts = [b"x" * 60, b"x" * 60, b"x" * 60]
    assert listener.post(ASK, *parts).status == 413
    assert listener.post(ASK, b"", content_length="101").status == 413
    asked = scope_of("POST", ASK, "", listener.sends | {"content-length": "101"})
    unread = iter(parts)

    async def ask() -> int:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": next(unread), "more_body": True}

        found: list[Any] = []

        async def send(message: Any) -> None:
            found.append(message)

        await listener.app(asked, receive, send)
        return found[0]["status"]

    assert asyncio.run(ask()) == 413
    assert len(list(unread)) == 3


def test_few_are_heard_at_a_time_and_those_too_many_are_told_to_come_again(
    listener: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most_under_way = 0, []

    async def body(request: Request) -> bytes:
        nonlocal under_way
        under_way += 1
        most_under_way.append(under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return wav(SOUND)

    monkeypatch.setattr(listen, "MOST_WAITING", 4)
    monkeypatch.setattr(listen, "_body", body)
    most = listen.MOST_AT_ONCE + listen.MOST_WAITING

    async def all_at_once() -> list[int]:
        scopes = [scope_of("POST", ASK, "", listener.sends) for _ in range(most + 2)]
        answers = await asyncio.gather(*(answered(listener.app, scope, [wav(SOUND)]) for scope in scopes))
        return sorted(answer.status for answer in answers)

    assert asyncio.run(all_at_once()) == [200] * most + [503] * 2
    assert max(most_under_way) == listen.MOST_AT_ONCE, "whoever waits brings nothing yet"
    monkeypatch.undo()
    assert listener.post(ASK, wav(SOUND)).status == 200, "whoever comes later is heard again"
    assert listener.app.state.listening == 0


def test_next_champion_answers_from_the_next_request_on(
    listener: Visitor, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        "cry_pipeline.inference.predict.Predictor.__init__",
        lambda self, folder, real=Predictor.__init__: (opened.append(folder.name), real(self, folder))[1],
    )

    def answers() -> str:
        return listener.post(ASK, wav(SOUND)).json["bundle"]

    assert [answers(), answers()] == ["a" * 16] * 2
    promoted(own_site.settings, "b" * 64)
    assert [answers(), answers()] == ["b" * 16] * 2
    switch(own_site.settings.models, promotion("a" * 64, None, {"cry": {"experiment": "x", "run": "r"}}, ["back"]))
    assert answers() == "a" * 16
    assert opened == ["a" * 16, "b" * 16, "a" * 16]


def test_champion_that_was_withdrawn_is_held_no_longer(listener: Visitor, own_site: Site) -> None:
    assert listener.post(ASK, wav(SOUND)).status == 200
    shutil.rmtree(champion_folder(own_site.settings.models, "a" * 64))
    answer = listener.post(ASK, wav(SOUND))
    assert answer.status == 503
    assert answer.json["error"].startswith("There is nobody to ask: ")
    assert listener.app.state.champion._predictor is None


def test_without_a_champion_the_page_says_how_to_get_one(own_site: Site) -> None:
    answer = Visitor.of(own_site).post(ASK, wav(SOUND))
    assert answer.status == 503
    assert "make one with `cry-pipeline run`" in answer.json["error"]
