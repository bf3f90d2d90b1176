"""``python -m cry_pipeline_tests.benchmarks.long_recordings``: is a cry found in a minute, and is one made up?

Minutes are put together from the corpus' recordings of one fold, and asked of the fold's own model, which knows none of
their donors: quiet, quiet with one cry of 7 s somewhere, recordings that the curators refused one after the other, and
these with one cry. Read from the installation of the settings; it needs a champion.

Belongs here: the minutes, and what is printed. Does not: windows (inference/windows.py).
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.inference.bundle import read_bundle
from cry_pipeline.inference.champions import current, history
from cry_pipeline.inference.graphs import open_graph, run_graph
from cry_pipeline.inference.rivals import stored_predictions
from cry_pipeline.inference.windows import timeline, windows
from cry_pipeline.orchestration.assets.champion import audio_of
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import load_settings

SECONDS, CRY_S = 60, 7
KINDS = ("quiet", "quiet and a cry", "no cries", "no cries and a cry")
THRESHOLD = 0.5
QUIET_DBFS = (-75.0, -45.0)


def main() -> int:
    """Print, for each kind of minute, how many are called a cry when asked whole and in windows."""
    parser = argparse.ArgumentParser(
        prog="python -m cry_pipeline_tests.benchmarks.long_recordings", description=__doc__
    )
    parser.add_argument("--minutes", type=int, default=100, help="of each kind (default: 100)")
    minutes = parser.parse_args().minutes
    settings = load_settings()
    run = history(settings.models)[-1].runs["cry"]
    rows = stored_predictions(run, settings.runs).query("repeat == 0")
    part = read_bundle(current(settings.models)).targets["cry"]
    graph, rate_hz, rng = open_graph(part.model), part.features.sample_rate_hz, np.random.default_rng(0)
    find = audio_of(Workspace.of(settings))

    def load(recording: str) -> np.ndarray:
        path = find(recording)
        assert path is not None, f"{recording} is not in the manifest"
        return load_samples(path, rate_hz).astype(np.float32)

    members = sorted(set(rows["fold"]))
    found = {kind: [] for kind in KINDS}
    for number in range(minutes):
        member = number % len(members)
        own = rows[rows["fold"] == members[member]]
        for kind in KINDS:
            samples = minute(kind, own, load, rate_hz, rng)
            asked = [samples[int(a * rate_hz) : b and int(b * rate_hz)] for a, b in [(0, None), *windows(SECONDS)]]
            whole, *parts = (float(run_graph(graph, each)[1][member, 1]) for each in asked)
            found[kind].append((whole, max(at for *_, at in timeline(np.array(parts), SECONDS))))
    for kind, both in found.items():
        whole, parts = (np.array(both) >= THRESHOLD).mean(axis=0)
        sys.stdout.write(f"{kind}: called a cry {whole:.2f} whole, {parts:.2f} in windows, of {minutes}\n")
    return 0


def minute(
    kind: str, rows: pd.DataFrame, load: Callable[[str], np.ndarray], rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """Return a minute ``[samples]``, float32, of recordings in ``rows``."""
    length = SECONDS * rate_hz
    if kind.startswith("quiet"):
        samples = rng.normal(0, 10 ** (rng.uniform(*QUIET_DBFS) / 20), length).astype(np.float32)
    else:
        others = rows.loc[rows["label"] == "not_cry", "recording_id"].tolist()
        joined = np.concatenate([load(name) for name in rng.choice(others, 2 * SECONDS // CRY_S)])
        samples = np.pad(joined[:length], (0, max(0, length - len(joined))))
    if kind.endswith("a cry"):
        cry = load(str(rng.choice(rows.loc[rows["label"] == "cry", "recording_id"])))[: CRY_S * rate_hz]
        at = int(rng.integers(0, length - len(cry)))
        samples[at : at + len(cry)] = cry
    return samples


if __name__ == "__main__":
    raise SystemExit(main())
