"""Whoever is to be told is told, by a real server: once, of what matters, and without giving the address away."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from cry_pipeline.inference import refusals
from cry_pipeline.orchestration.failures import failures_sensor
from cry_pipeline.settings import Settings

HOOK = "/services/T0000/secret"


class Webhook:
    """A server that takes what is posted, or answers as ``status`` says."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.status == 200:
                    assert (self.path, self.headers["Content-Type"]) == (HOOK, "application/json")
                    webhook.got.append(json.loads(body))
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{HOOK}"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def telling(settings: Settings, webhook: Webhook) -> Settings:
    return settings.model_copy(update={"webhook_url": webhook.url})


class Looks:
    """The sensor's looks, one after the other."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.cursor = settings, instance, None

    def look(self) -> str:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        answer = failures_sensor(self.settings)(context)
        self.cursor = context.cursor
        assert isinstance(answer, dg.SkipReason)
        return str(answer.skip_message)


def fail(instance: dg.DagsterInstance, says: str, **tags: str) -> str:
    """Let a run of a job called ingest fail; return its id."""

    @dg.op
    def features() -> None:
        try:
            raise ValueError(says)  # noqa: TRY301
        except ValueError as error:
            raise dg.Failure("a wrapper") from error

    @dg.job(name="ingest")
    def job() -> None:
        features()

    return job.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id


def test_a_failed_run_is_told_once_with_the_cause_and_where_to_look(telling: Settings, webhook: Webhook) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fail(instance, "long ago")
        looks = Looks(telling, instance)
        assert looks.look() == "What goes wrong from now on is told."
        run_id = fail(instance, "disk full: <!channel> \x1b[31m")
        fail(instance, "not the last try", **{"dagster/will_retry": "true"})
        assert looks.look() == "Told of 1."
        assert looks.look() == "Nothing went wrong."
    (said,) = webhook.got
    assert sorted(said) == ["at", "kind", "subject", "text", "url"]
    assert (said["kind"], said["subject"]) == ("run_failed", "cry_pipeline: ingest failed")
    assert said["url"] == f"http://127.0.0.1:3000/runs/{run_id}"
    assert "features: ValueError: disk full: ‹!channel› \\x1b[31m\n" in said["text"]
    assert said["url"] in said["text"]
    assert "long ago" not in said["text"]
    assert "wrapper" not in said["text"]


@pytest.mark.parametrize("status", [500, 404, None])
def test_what_could_not_be_sent_is_sent_later_and_the_address_is_not_given_away(
    telling: Settings, webhook: Webhook, caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        looks = Looks(telling, instance)
        looks.look()
        fail(instance, "one")
        fail(instance, "two")
        if status is None:
            gone = telling.model_copy(update={"webhook_url": f"http://127.0.0.1:1{HOOK}"})
            silent = Looks(gone, instance)
            silent.cursor = looks.cursor
            said = silent.look()
            looks.cursor = silent.cursor
            assert "127.0.0.1 does not answer (NewConnectionError); 'cry_pipeline: ingest failed' is told" in said
        else:
            webhook.status = status
            said = looks.look()
            assert f"127.0.0.1 answers {status}; 'cry_pipeline: ingest failed' is told at a later look" in said
        assert "secret" not in said + caplog.text
        webhook.status = 200
        assert looks.look() == "Told of 2."
    assert ["ValueError: one" in webhook.got[0]["text"], "ValueError: two" in webhook.got[1]["text"]] == [True, True]


def test_a_refused_challenger_is_told_with_what_spoke_against_it(telling: Settings, webhook: Webhook) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        looks = Looks(telling, instance)
        looks.look()
        refusals.note(
            telling.models, "c" * 64, "d" * 64, {"cry": {"experiment": "x", "run": "r"}}, ["cry: worse by 0.1"]
        )
        assert looks.look() == "Told of 1."
        assert looks.look() == "Nothing went wrong."
    (said,) = webhook.got
    assert (said["kind"], said["subject"]) == ("challenger_refused", "cry_pipeline: the challenger was refused")
    assert "- cry: worse by 0.1\n" in said["text"]
    assert said["url"].endswith("/champion.html")


def test_without_an_address_it_is_off_and_says_how_to_turn_it_on(settings: Settings) -> None:
    assert failures_sensor(settings).default_status is dg.DefaultSensorStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        assert "set CRY_PIPELINE_WEBHOOK_URL" in Looks(settings, instance).look()
