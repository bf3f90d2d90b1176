"""``python -m cry_pipeline_tests.loop``: the whole loop of donations, with the real daemon, on the real corpus.

Its uploads of May 2015 are donations that arrive in their order, in two waves. Somebody judges what triage shows them
as the corpus' curators did. After the first wave the champion is trained again; the second says what that was worth.

Belongs here: the steps, and what is printed of them. Does not: the corpus (world.py), and processes (daemon.py).
"""

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cry_pipeline.artefacts import MissingFileError
from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.manifest import read_quarantine, read_recordings
from cry_pipeline.donations.agreement import interval_of
from cry_pipeline.donations.review import judge, queue
from cry_pipeline.donations.triage import read_triage
from cry_pipeline.evaluation.metrics import Floats, auc
from cry_pipeline.inference.champions import champion_folder, history
from cry_pipeline.inference.predict import predictor
from cry_pipeline.inference.refusals import refusals
from cry_pipeline.orchestration.asset_keys import CHAMPION as CHAMPION_ASSET
from cry_pipeline_tests.loop.daemon import daemon, is_idle, made, runs_of, wait_for
from cry_pipeline_tests.loop.world import Upload, World, make_world

REVIEWER = "the curators' choice"
SECONDS = 7.0


def main() -> int:
    """Go once around, and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m cry_pipeline_tests.loop", description=__doc__)
    parser.add_argument("--donors", type=int, help="take at most so many donors before May, and as many since")
    parser.add_argument(
        "--folder", type=Path, help="where the installation is made; it is kept (default: a temporary one)"
    )
    args = parser.parse_args()
    corpus = os.environ.get("CRY_PIPELINE_CORPUS")
    if not corpus:
        raise SystemExit("CRY_PIPELINE_CORPUS is not set: this is measured on the real corpus alone")
    logging.getLogger("cry_pipeline").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the daemon would outlive this process
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        world = make_world(Path(corpus), folder, args.donors)
        go_around(world)
    return 0


def go_around(world: World) -> None:
    """Take in, judge, train again, take in; say what came of it."""
    half = len(world.uploads) // 2
    first, second = world.uploads[:half], world.uploads[half:]
    donors = len({each.donor for each in world.uploads})
    say(f"{len(first)} and {len(second)} donations are to come, of {donors} donors.")
    began = time.monotonic()
    command = [sys.executable, "-m", "cry_pipeline.command.main", "run"]
    subprocess.run(command, env=world.environment, check=True, stdout=sys.stderr)
    say(f"First champion after {time.monotonic() - began:.0f} s: {champion(world)[:16]}.")
    with daemon(world, retraining="off"):
        take_in(world, first, "first")
        judged = review(world)
        seconds = wait_for(lambda: known(world) >= judged and is_idle(world), "judgements are in the manifest", world)
        say(f"{judged} judgements were in the manifest {seconds:.0f} s later.")
    before, times = champion(world), made(world, CHAMPION_ASSET)
    with daemon(world, retraining="daily"):
        decided = lambda: made(world, CHAMPION_ASSET) > times and is_idle(world)  # noqa: E731
        seconds = wait_for(decided, "the champion is trained again", world, minutes=60)
        say(f"Trained again within {seconds:.0f} s: {outcome(world, before)}")
        take_in(world, second, "second")
        review(world)
    measure(world, before, second, {each.donor for each in first})
    say(f"Runs: {dict(Counter(f'{job} {status}' for job, status in runs_of(world)))}")


def take_in(world: World, uploads: Sequence[Upload], wave: str) -> None:
    """Drop ``uploads`` into the inbox, one after the other, and wait until each is triaged or refused."""
    inbox = world.settings.inbox
    inbox.mkdir(parents=True, exist_ok=True)
    for upload in uploads:
        unfinished = inbox / f"{upload.path.name}.part"
        shutil.copy(upload.path, unfinished)
        unfinished.rename(inbox / upload.path.name)
        time.sleep(0.05)
    ids = {upload.recording_id for upload in uploads}
    what = f"the {wave} wave is triaged or refused"
    seconds = wait_for(lambda: ids <= seen(world) and is_idle(world), what, world)
    table = read_triage(world.settings)
    labels = {upload.recording_id: upload.label or "never heard" for upload in uploads}
    rows = table[table["recording_id"].isin(ids)]
    say(f"{wave} wave: {len(rows)} triaged, {len(ids) - len(rows)} refused, within {seconds:.0f} s.")
    for (decision, label), group in rows.groupby(["decision", rows["recording_id"].map(labels)]):
        say(f"  {decision}, by the curators {label}: {len(group)}, of which for audit {int(group['audit'].sum())}")


def seen(world: World) -> set[str]:
    """Return the recordings that were triaged or refused."""
    try:
        triaged = set(read_triage(world.settings)["recording_id"])
        refused = read_quarantine(world.settings.manifests / "quarantine.parquet")
    except MissingFileError:
        return set()
    return triaged | set(refused["sha256"].dropna())


def review(world: World) -> int:
    """Judge all that is asked for as the curators did; what they never heard is unusable. Return how many."""
    labels = {upload.recording_id: upload.label or "unusable" for upload in world.uploads}
    asked = queue(world.settings, load_catalog(world.settings.catalog), REVIEWER)
    for each in asked:
        judge(world.settings, each.recording_id, labels[each.recording_id], REVIEWER, heard_s=SECONDS, origin="command")
    verdicts = dict(Counter(labels[each.recording_id] for each in asked))
    say(f"Judged {len(asked)} that triage asked for: {verdicts}.")
    return len(asked)


def known(world: World) -> int:
    """Return how many recordings of the manifest have a judgement."""
    return int(read_recordings(world.settings.manifests / "recordings.parquet")["judgement"].notna().sum())


def champion(world: World) -> str:
    """Return the digest of the champion."""
    return history(world.settings.models)[-1].digest


def outcome(world: World, before: str) -> str:
    """Return what became of the challenger, in a sentence."""
    if champion(world) != before:
        return (
            f"promoted, {champion(world)[:16]} after {before[:16]}: {'; '.join(history(world.settings.models)[-1].why)}"
        )
    refused = refusals(world.settings.models)
    return f"refused: {refused[-1]}" if refused else "the same champion"


def measure(world: World, before: str, later: Sequence[Upload], learned: set[str]) -> None:
    """Print the AUC of the champion before and of now on ``later`` donations with a label, and the difference.

    Args:
        world: the installation.
        before: digest of the champion that had seen no donation.
        later: that arrived after the one of now was trained.
        learned: donors of the donations that it may have learned from.
    """
    told = [upload for upload in later if upload.label]
    donors, positive = np.array([each.donor for each in told]), np.array([each.label == "cry" for each in told])
    scores = {digest: scores_of(world, digest, told) for digest in dict.fromkeys((before, champion(world)))}
    trained = set(read_recordings(world.settings.manifests / "recordings.parquet").query("root == 'corpus'")["donor"])
    new = ~np.isin(donors, list(learned | trained))
    for what, these in (("later donations", np.ones(len(told), dtype=bool)), ("of donors never seen before", new)):
        both = [values[these] for values in scores.values()]
        say(f"{what}: {these.sum()} recordings, {len(set(donors[these]))} donors")
        for digest, values in scores.items():
            say(f"  AUC of {digest[:16]}: {interval(positive[these], [values[these]], donors[these])}")
        if len(both) > 1:
            say(f"  now less before: {interval(positive[these], both[::-1], donors[these])}")


def interval(positive: np.ndarray, scores: Sequence[Floats], donors: np.ndarray) -> str:
    """Return an AUC, or of two the first less the second, with its 95 % interval over donors."""

    def value(weights: Floats) -> Floats:
        areas = [auc(positive, each, weights) for each in scores]
        return areas[0] - areas[1] if len(areas) > 1 else areas[0]

    at = interval_of(value, donors)
    return f"{at.value:.3f} ({at.low:.3f} to {at.high:.3f})" if at else "cannot be told"


def scores_of(world: World, digest: str, uploads: Sequence[Upload]) -> Floats:
    """Return what the bundle of ``digest`` says of ``uploads``: probabilities of a cry."""
    asked = predictor(champion_folder(world.settings.models, digest))
    answers = {
        Path(each.path).name: each.cry_probability for each in asked.predict_files([each.path for each in uploads])
    }
    return np.array([answers[each.path.name] for each in uploads], dtype=np.float64)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
