"""What the page review is told, and what becomes of what a person says there."""

import threading

import pytest

from cry_pipeline.corpus.judgements import now, read_judgements
from cry_pipeline.donations.samples import Drawn, Sample, write_sample
from cry_pipeline_tests.serving.asking import Answer, Visitor
from cry_pipeline_tests.serving.sites import Site

SECRET = (b"contradicted", b"heard_again", b"0.123", b"untriaged")
NO_JUDGEMENTS = [
    b"",
    b"[]",
    b"\xff",
    b"{",
    b'{"who": "Ann"}',
    b'{"who": "Ann", "recording_id": "x", "verdict": "cry", "heard_s": 1}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "retracted", "heard_s": 1}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "cry", "heard_s": NaN}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "cry", "heard_s": -1}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "cry", "heard_s": 1, "sample": "may"}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "cry", "heard_s": 1, "reason": "evil"}',
    b'{"who": "Ann", "recording_id": "%s", "verdict": "not_cry", "heard_s": 1, "reason": "tired"}',
]
"""What a script may send that is not the page's; %s stands for a recording that is asked for."""
JUDGE, UNDO = "/review/judgements", "/review/undo"


@pytest.fixture
def reviewer(own_site: Site) -> Visitor:
    """One who is asked for a donation, and for a recording of the corpus that a sample drew."""
    drawn = Drawn(recording_id=own_site.ids["plain"], donor="d", label="cry", score=0.123, why="contradicted", weight=1)
    sample = Sample(name="heard_again", at=now(), experiment="e", run="r", seed=0, recordings=9, drawn=(drawn,))
    write_sample(own_site.settings.judgements, sample)
    return Visitor.of(own_site)


def waiting(reviewer: Visitor, who: str = "Ann") -> list[str]:
    return reviewer.get("/review/waiting", f"who={who}").json["waiting"]


def say(reviewer: Visitor, recording_id: str, verdict: str = "cry", **more: object) -> Answer:
    message = {"who": "Ann", "recording_id": recording_id, "verdict": verdict, "heard_s": 3.21} | more
    return reviewer.say(JUDGE, **message)


def test_reviewer_is_told_nothing_but_what_to_hear(own_site: Site, reviewer: Visitor) -> None:
    answer = reviewer.get("/review/waiting", "who=Ann")
    assert answer.json == {"waiting": waiting(reviewer), "done": 0, "left": 2}
    assert set(waiting(reviewer)) == {own_site.ids["donated"], own_site.ids["plain"]}
    for said in (answer.body, reviewer.get("/review").body):
        assert not [word for word in SECRET if word in said]
    assert answer.headers["cache-control"] == "no-store"


def test_what_a_person_says_is_kept_with_what_it_was_asked_for(own_site: Site, reviewer: Visitor) -> None:
    answer = say(reviewer, own_site.ids["plain"], reason="hungry")
    assert (answer.status, answer.json) == (200, {"waiting": [own_site.ids["donated"]], "done": 1, "left": 1})
    (row,) = read_judgements(own_site.settings.judgements).to_dict("records")
    kept = {name: row[name] for name in ("recording_id", "verdict", "reason", "who", "heard_s", "origin", "sample")}
    assert kept == {
        "recording_id": own_site.ids["plain"],
        "verdict": "cry",
        "reason": "hungry",
        "who": "Ann",
        "heard_s": 3.21,
        "origin": "page",
        "sample": "heard_again",
    }


def test_nobody_judges_twice_nor_what_nobody_asks_for(own_site: Site, reviewer: Visitor) -> None:
    assert say(reviewer, own_site.ids["donated"]).status == 200
    for recording_id in (own_site.ids["donated"], own_site.ids["packed"], "0" * 64):
        assert say(reviewer, recording_id, "not_cry").status == 409
    assert len(read_judgements(own_site.settings.judgements)) == 1


def test_who_has_not_listened_may_only_say_that_it_cannot_be_heard(own_site: Site, reviewer: Visitor) -> None:
    for verdict in ("cry", "not_cry"):
        answer = say(reviewer, own_site.ids["donated"], verdict, heard_s=0.4)
        assert answer.status == 422
        assert answer.json["error"].startswith("Listen first")
    assert read_judgements(own_site.settings.judgements).empty
    assert say(reviewer, own_site.ids["donated"], "unusable", heard_s=0).status == 200


def test_last_word_is_taken_back_and_asked_for_again_at_once(own_site: Site, reviewer: Visitor) -> None:
    first, second = waiting(reviewer)
    assert reviewer.say(UNDO, who="Ann").status == 409
    say(reviewer, first)
    say(reviewer, second)
    assert waiting(reviewer) == []
    answer = reviewer.say(UNDO, who="Ann")
    assert answer.json == {"waiting": [second], "done": 1, "left": 1, "undone": second}
    answer = reviewer.say(UNDO, who="Ann")
    assert answer.json["waiting"] == [first, second]
    assert say(reviewer, first, "not_cry").status == 200
    assert reviewer.say(UNDO, who="Bob").status == 409


def test_who_says_no_name_is_asked_for_one(own_site: Site, reviewer: Visitor) -> None:
    for who in ("", "  ", "a" * 81, "\x00"):
        asked = reviewer.get("/review/waiting", f"who={who}")
        answers = [say(reviewer, own_site.ids["donated"], who=who), reviewer.say(UNDO, who=who), asked]
        assert {answer.status for answer in answers} == {422}, who
        assert all(answer.json["error"] for answer in answers)
    assert read_judgements(own_site.settings.judgements).empty


def test_what_is_no_judgement_is_refused_with_a_sentence(own_site: Site, reviewer: Visitor) -> None:
    for body in NO_JUDGEMENTS:
        answer = reviewer.post(JUDGE, body.replace(b"%s", own_site.ids["donated"].encode()))
        assert answer.status == 422, body
        assert answer.json["error"]
    assert read_judgements(own_site.settings.judgements).empty


def test_message_without_an_end_is_not_read_to_it(reviewer: Visitor) -> None:
    assert reviewer.post(JUDGE, *[b" " * 1000] * 11).status == 413


def test_damage_is_said_and_nothing_is_lost(own_site: Site, reviewer: Visitor) -> None:
    say(reviewer, own_site.ids["plain"])
    (path,) = own_site.settings.judgements.glob("*.json")
    path.write_bytes(path.read_bytes()[:-9])
    answer = say(reviewer, own_site.ids["donated"])
    assert answer.status == 500
    assert "put a copy of the file back" in answer.json["error"]


def test_of_two_tabs_that_answer_at_once_one_does(own_site: Site, reviewer: Visitor) -> None:
    start, found = threading.Barrier(4), []

    def answer_too() -> None:
        start.wait()
        found.append(say(reviewer, own_site.ids["donated"]).status)

    threads = [threading.Thread(target=answer_too) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 409, 409, 409]
    assert len(read_judgements(own_site.settings.judgements)) == 1
