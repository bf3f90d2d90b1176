"""Telling people what went wrong while nobody watched: a failed run, a refused challenger, as JSON to a webhook.

Belongs here: the sensor ``failures``, its words, and sending them. Does not: what else is to be seen in the UI (checks,
checks.py), nor trying again (conditions.py, automation.py).

A message has ``subject`` and ``text``, ready for mail; chat services show ``text``. It is told at least once: what
could not be sent is sent at a later look, and the cursor goes on only behind what was.
"""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

from cry_pipeline.inference.champions import ChampionError
from cry_pipeline.quoting import shown
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")
LOOK_S = 60
AT_ONCE = 10
"""Messages that one look sends at most."""
PATIENCE_S = 10.0
LONGEST = 1500
"""Characters of an error that are sent; all of it is in the UI."""
UNMARKED = str.maketrans({"<": "‹", ">": "›"})
"""What chat services take for their own marks, links or calls to everybody; it may stand in a stranger's file name."""


class Message(NamedTuple):
    """What is sent, and the cursor once it was."""

    content: dict[str, str]
    cursor: dict[str, Any]


def failures_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that tells the webhook of the settings; without one it is off."""

    @dg.sensor(
        name="failures",
        minimum_interval_seconds=LOOK_S,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.webhook_url else dg.DefaultSensorStatus.STOPPED,
        description="Tells CRY_PIPELINE_WEBHOOK_URL, as JSON with subject and text, of runs that failed and are not "
        "tried again by Dagster, and of challengers that were refused.",
    )
    def failures(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if settings.webhook_url is None:
            return dg.SkipReason("There is nobody to tell: set CRY_PIPELINE_WEBHOOK_URL, and restart.")
        if context.cursor is None:
            context.update_cursor(json.dumps(_now(context.instance, settings)))
            return dg.SkipReason("What goes wrong from now on is told.")
        told = 0
        for message in _messages(context.instance, settings, json.loads(context.cursor)):
            if message.content:
                fault = send(settings.webhook_url, message.content)
                if fault:
                    LOG.warning("the webhook could not be told: %s", fault)
                    return dg.SkipReason(f"{fault}; {message.content['subject']!r} is told at a later look.")
                told += 1
            context.update_cursor(json.dumps(message.cursor))
        return dg.SkipReason(f"Told of {told}." if told else "Nothing went wrong.")

    return failures


def send(url: str, content: dict[str, str]) -> str | None:
    """Post ``content`` as JSON; return why it was not taken, without the address, which may be a secret, or None."""
    import urllib3

    host = urlsplit(url).hostname
    try:
        with urllib3.PoolManager(timeout=PATIENCE_S, retries=False) as pool:
            answer = pool.request("POST", url, json=content)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return f"{host} does not answer ({type(error).__name__})"
    return None if 200 <= answer.status < 300 else f"{host} answers {answer.status}"


def _now(instance: dg.DagsterInstance, settings: Settings) -> dict[str, Any]:
    latest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    refused = _refusals(settings)
    return {"event": latest[0].storage_id if latest else 0, "refused": refused[-1].at if refused else ""}


def _messages(instance: dg.DagsterInstance, settings: Settings, cursor: dict[str, Any]) -> Iterator[Message]:
    changes = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=cursor["event"])
    for record in instance.fetch_run_status_changes(changes, limit=AT_ONCE, ascending=True).records:
        cursor = cursor | {"event": record.storage_id}
        run = instance.get_run_by_id(record.run_id)
        if run is None or run.tags.get(WILL_RETRY_TAG) == "true":
            yield Message({}, cursor)
        else:
            yield Message(of_run(run, record, instance, settings), cursor)
    for refused in _refusals(settings):
        if refused.at > cursor["refused"]:
            cursor = cursor | {"refused": refused.at}
            yield Message(_of_refusal(refused.at, refused.why, settings), cursor)


def of_run(
    run: dg.DagsterRun, record: dg.EventLogRecord, instance: dg.DagsterInstance, settings: Settings
) -> dict[str, str]:
    """Return what is said of a failed run: what it was, the first errors, where to look and what to do."""
    url = f"{settings.ui_address}/runs/{run.run_id}"
    lines = [f"{step}: {error}" for step, error in _errors(run.run_id, instance)]
    lines = lines or [record.event_log_entry.user_message or "It ended without a word; was it killed?"]
    told = "\n\n".join(line if len(line) <= LONGEST else f"{line[:LONGEST]} …" for line in lines[:3])
    more = f"\n\nand {len(lines) - 3} more steps failed." if len(lines) > 3 else ""
    text = (
        f"Run {run.run_id} of the job {run.job_name} failed at {_moment(record.timestamp)}.\n\n{told}{more}\n\n"
        f"Look at {url}. What was done before is kept: once the cause is removed, launch the job again."
    )
    return _content("run_failed", f"cry_pipeline: {run.job_name} failed", text, url, _moment(record.timestamp))


def _errors(run_id: str, instance: dg.DagsterInstance) -> Iterator[tuple[str, str]]:
    """Yield each failed step with the message of what was wrong at bottom."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        error = event.step_failure_data.error if event else None
        while error is not None and error.cause is not None:
            error = error.cause
        if event is not None and error is not None:
            yield str(event.step_key), error.message.strip()


def _of_refusal(at: str, why: list[str], settings: Settings) -> dict[str, str]:
    url = f"{settings.site_address}/champion.html"
    points = "\n".join(f"- {point}" for point in why)
    text = f"The challenger of {at} was refused:\n\n{points}\n\nThe champion stays in use. Look at {url}."
    return _content("challenger_refused", "cry_pipeline: the challenger was refused", text, url, at)


def _content(kind: str, subject: str, text: str, url: str, at: str) -> dict[str, str]:
    plain = {"subject": shown(subject), "text": shown(text, lines=True)}
    return {name: value.translate(UNMARKED) for name, value in plain.items()} | {"kind": kind, "url": url, "at": at}


def _refusals(settings: Settings) -> list[Any]:
    from cry_pipeline.inference.refusals import refusals

    try:
        return refusals(settings.models)
    except ChampionError as error:  # said by the check of models/champion; failed runs are told all the same
        LOG.warning("%s", error)
        return []


def _moment(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"
