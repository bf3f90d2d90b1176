"""Runs that a real daemon has a Ray cluster execute: they end as they should, whichever part of it is lost meanwhile.

Some minutes each; ``make test-ray``. Each test prints how long it took until all was well again.
"""

import os
import signal
import time

import pytest

from cry_pipeline_tests.processes import wait_until
from cry_pipeline_tests.ray.clusters import RAYLET, Node
from cry_pipeline_tests.ray.conftest import ROLES, report, said_by
from cry_pipeline_tests.ray.deployment import MINUTE, PATIENCE_S, Deployment

pytestmark = pytest.mark.ray

FULL = os.environ.get("CRY_PIPELINE_FAULTS") == "full"
SILENT_S = 2 * MINUTE if FULL else 10.0
"""How long the dashboard is away once it was noticed and asked in vain, each of which takes half a minute and more; all
together less than ``PATIENCE_S``, for which a run is taken for alive."""
LASTS = "lasts"
RAY_NOTICES = 4.0
"""Minutes in which Ray takes a node for dead, and a node without a head ends itself: one each, and room."""
ENDS_ITSELF = 1.5
"""Minutes in which a run ends that Ray has lost; a node that is cut off ends two minutes later."""


def asked_to_last(deployment: Deployment) -> str:
    """Ask for a run that lasts; return its id once it does."""
    run = deployment.ask_for(LASTS)

    def begins() -> bool:
        said = deployment.said(run)
        assert not any(f'Execution of run for "{LASTS}" failed' in line for line in said), said
        return any("begins to last" in line for line in said)

    wait_until(begins, "the run begins to last", 5 * MINUTE)
    return run


def let_end(deployment: Deployment) -> None:
    (deployment.installation.settings.data / "end").touch()


def lasted(deployment: Deployment) -> list[tuple[str, str]]:
    return said_by(deployment.installation.settings.data / "lasted")


def node_of(deployment: Deployment, run: str) -> Node:
    """Return the node on which the run's process is."""
    nodes = [deployment.cluster.nodes[role] for role in ROLES]
    (node,) = [node for node in nodes if node.pids("execute_run", run)]
    return node


def test_a_run_succeeds_on_a_node_that_works_and_one_that_fails_is_not_tried_again(whole: Deployment) -> None:
    run = asked_to_last(whole)
    assert not whole.cluster.head.pids("execute_run")
    let_end(whole)
    whole.wait_for(run, "SUCCESS")
    assert lasted(whole) == [(run, "begun"), (run, "ended")]
    failing = whole.ask_for("fails")
    whole.wait_for(failing, "FAILURE")
    assert whole.has_said(failing, "as the test wants")
    words = "Not retrying run since it failed due to an asset or op failure"
    wait_until(lambda: whole.has_said(failing, words), "the daemon does not try it again, and says so", MINUTE)
    assert not [run for run in whole.runs() if run.parent_run_id == failing]


def test_a_run_that_is_stopped_in_the_ui_is_canceled_and_notes_it_itself(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began = time.monotonic()
    with whole.instance() as instance:
        assert instance.run_launcher.terminate(run)
    whole.wait_for(run, "CANCELED", 1.5)  # before the daemon calls it canceled by itself
    report(f"canceled after {time.monotonic() - began:.0f} s")
    assert [what for _, what in lasted(whole)] == ["begun"]
    wait_until(lambda: not any(whole.cluster.nodes[role].pids("execute_run") for role in ROLES), "it has ended", MINUTE)


def test_a_run_that_is_stopped_in_ray_is_tried_again(whole: Deployment) -> None:
    run = asked_to_last(whole)
    with whole.instance() as instance:
        instance.run_launcher.client.stop_job(whole.job_id(run))  # pyright: ignore[reportAttributeAccessIssue]
    whole.wait_for(run, "FAILURE", 3)
    let_end(whole)
    whole.wait_for(whole.wait_for_retry(run), "SUCCESS")


def test_a_dashboard_that_hangs_ends_no_run_and_starts_no_twin(
    whole: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, head = asked_to_last(whole), whole.cluster.head
    assert head.send(signal.SIGSTOP, "dashboard.py") == 1
    try:
        wait_until(lambda: whole.has_said(run, "does not say how the run is"), "it is noticed", 3 * MINUTE)
        with whole.instance() as instance:
            assert not instance.run_launcher.terminate(run)  # which is not to call it canceled
        waiting = whole.ask_for("lasts")
        time.sleep(SILENT_S)
        states = {found.run_id: found.status.value for found in whole.runs()}
        assert states[run] == "STARTED", whole.said(run)
        assert states[waiting] in ("QUEUED", "STARTING"), whole.said(waiting)
        let_end(whole)
        whole.wait_for(run, "SUCCESS")
        wait_until(lambda: whole.has_said(waiting, "re-submitting the run"), "the next goes back", 3 * MINUTE)
    finally:
        head.send(signal.SIGCONT, "dashboard.py")
    whole.wait_for(waiting, "SUCCESS")
    assert lasted(whole) == [(run, "begun"), (run, "ended"), (waiting, "begun"), (waiting, "ended")]


def launched_anew(whole: Deployment, run: str) -> str:
    """Wait until Ray says that ``run`` is lost, and what was launched in its place has ended well; return that."""
    whole.wait_for(run, "FAILURE", RAY_NOTICES)
    let_end(whole)
    again = whole.wait_for_retry(run)
    whole.wait_for(again, "SUCCESS")
    return again


def test_a_node_that_dies_with_its_run_costs_that_run_alone(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began = time.monotonic()
    node_of(whole, run).kill()
    again = launched_anew(whole, run)
    report(f"well again {time.monotonic() - began:.0f} s after a node died")
    assert lasted(whole) == [(run, "begun"), (again, "begun"), (again, "ended")]


def test_a_raylet_that_dies_alone_leaves_no_run_behind(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began, node = time.monotonic(), node_of(whole, run)
    assert node.send(signal.SIGKILL, RAYLET) == 1
    wait_until(lambda: not node.pids("execute_run", run), "the run's process has ended", ENDS_ITSELF * MINUTE)
    report(f"the process of the run had ended {time.monotonic() - began:.0f} s after its raylet")
    again = launched_anew(whole, run)
    report(f"well again {time.monotonic() - began:.0f} s after a raylet died")
    assert lasted(whole) == [(run, "begun"), (again, "begun"), (again, "ended")]


def test_a_node_that_is_cut_off_and_its_twin_never_write_at_the_same_time(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began, node = time.monotonic(), node_of(whole, run)
    node.cut()
    try:
        whole.wait_for(run, "FAILURE", RAY_NOTICES)
        again = whole.wait_for_retry(run)
        # The lock of the data folder, which both reach here, is the old run's until that has ended itself.
        wait_until(lambda: (again, "begun") in lasted(whole), "the twin has the lock", ENDS_ITSELF * MINUTE)
        report(f"the twin had the lock {time.monotonic() - began:.0f} s after a node was cut off")
        assert not node.pids("execute_run", run)
        let_end(whole)
        whole.wait_for(again, "SUCCESS")
    finally:
        node.mend()
    report(f"well again {time.monotonic() - began:.0f} s after a node was cut off")
    assert lasted(whole) == [(run, "begun"), (again, "begun"), (again, "ended")]
    node.kill()


def test_a_head_that_is_lost_and_comes_back_as_new_costs_the_run_alone(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began, cluster = time.monotonic(), whole.cluster
    cluster.head.kill()
    cluster.start_head()
    cluster.restore()
    again = launched_anew(whole, run)
    report(f"well again {time.monotonic() - began:.0f} s after the head was lost")
    assert lasted(whole) == [(run, "begun"), (again, "begun"), (again, "ended")]


def test_a_head_that_does_not_come_back_ends_the_run_after_a_while(whole: Deployment) -> None:
    run = asked_to_last(whole)
    began = time.monotonic()
    whole.cluster.head.kill()
    try:
        whole.wait_for(run, "FAILURE", PATIENCE_S / MINUTE + RAY_NOTICES)
        report(f"called failed {time.monotonic() - began:.0f} s after the head was lost for good")
        again = whole.wait_for_retry(run)
        wait_until(lambda: whole.has_said(again, "re-submitting the run"), "the next waits", 3 * MINUTE)
    finally:
        whole.cluster.restore()
    let_end(whole)
    whole.wait_for(again, "SUCCESS")
