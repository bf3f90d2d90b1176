"""``python -m cry_pipeline_tests.benchmarks.spreading DATA``: ENGINE=ray beside local, on an installation's own work.

Belongs here: the extraction of a feature set and the folds of some experiments, done anew by both engines with two
workers each, after Ray is up. Does not: the other measures (__main__.py).

``DATA`` is a finished installation's data folder, which is only read (CRY_PIPELINE_CORPUS says where its corpus is);
what is made goes to a temporary folder. Each engine's part runs in a process of its own, whose memory is looked at:
the driver's, and not its workers'.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORKERS = 2
AIM = 1.3
EXPERIMENTS = (
    "curation_random_forest_donor_grouped",
    "cleaned_random_forest_donor_grouped",
    "curation_svm_covariance_donor_hashed",
    "cleaned_logistic_regression_clip_stratified",
    "cleaned_lfeb_attention_lstm_donor_grouped",
)
"""Of every kind: long folds in few rows, short ones, a network."""


def measured(data: Path, scratch: Path, engine: str, experiments: list[str]) -> dict[str, Any]:
    """Return seconds by what was done, and the peak of this process' memory in MB after each."""
    from cry_pipeline.catalog import load_catalog
    from cry_pipeline.engine import engine_of
    from cry_pipeline.orchestration.assets.runs import train
    from cry_pipeline.orchestration.extraction import computed
    from cry_pipeline.orchestration.resources import Workspace
    from cry_pipeline.settings import load_settings

    for folder in ("manifests", "folds"):
        shutil.copytree(data / folder, scratch / folder)
    shutil.copytree(data / "cache", scratch / "cache", ignore=shutil.ignore_patterns("inbox"))
    shutil.copy(data / "secret.json", scratch)
    settings = load_settings().model_copy(update={"data": scratch, "engine": engine, "workers": WORKERS})
    workspace, catalog = Workspace.of(settings), load_catalog()
    found: dict[str, Any] = {"engine": engine}
    clock = time.perf_counter()
    warm = list(engine_of("ray", WORKERS).map(abs, range(WORKERS))) if engine == "ray" else []
    found["start"] = time.perf_counter() - clock
    assert len(warm) in (0, WORKERS)

    def note(what: str, started: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found[what] = [round(time.perf_counter() - started, 1), round(peak)]
        sys.stderr.write(f"{engine} {what}: {found[what][0]} s, driver's peak {found[what][1]} MB\n")

    clock = time.perf_counter()
    specs = [catalog.feature_sets[name] for name in sorted({catalog.experiments[e].feature_set for e in experiments})]
    reports = computed(specs, workspace.recordings(), workspace)
    note("extraction", clock)
    found["rows"] = [store.data_version(sorted(store.recording_ids())) for store, _ in reports]
    found["runs"] = {}
    for name in experiments:
        clock = time.perf_counter()
        result, _ = train(name, catalog, workspace)
        note(name, clock)
        found["runs"][name] = result.digest
    return found


def main() -> int:
    """Print a table of both engines; 1 where they made other digests, or Ray missed the aim."""
    parser = argparse.ArgumentParser(prog="python -m cry_pipeline_tests.benchmarks.spreading", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--experiments", nargs="*", default=list(EXPERIMENTS))
    parser.add_argument("--rounds", type=int, default=1, help="times that engines take turns; the best counts")
    parser.add_argument("--engine", choices=("local", "ray"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        with tempfile.TemporaryDirectory() as scratch:
            json.dump(measured(args.data, Path(scratch), args.engine, args.experiments), sys.stdout)
        return 0
    rounds = [{engine: _in_a_process(engine, args) for engine in ("local", "ray")} for _ in range(args.rounds)]
    what = ["extraction", *args.experiments]
    best = {e: {w: min(r[e][w][0] for r in rounds) for w in what} for e in ("local", "ray")}
    peak = {e: max(r[e][w][1] for r in rounds for w in what) for e in ("local", "ray")}
    print("| what | local, s | ray, s | ray over local |\n|---|---|---|---|")  # noqa: T201
    for one in [*what, "all"]:
        local, ray = (sum(best[e].values()) if one == "all" else best[e][one] for e in ("local", "ray"))
        print(f"| {one} | {local:.1f} | {ray:.1f} | {ray / local:.2f} |")  # noqa: T201
    first = rounds[0]
    start, after = min(r["ray"]["start"] for r in rounds), first["ray"]["extraction"][1]
    print(f"\nRay took {start:.0f} s to start, which is not counted.")  # noqa: T201
    print(f"The driver's peak: local {peak['local']} MB, ray {peak['ray']} MB ({after} after the extraction).")  # noqa: T201
    same = all(r[e][key] == first["local"][key] for r in rounds for e in ("local", "ray") for key in ("rows", "runs"))
    print(f"Digests are {'the same' if same else 'NOT the same'}.")  # noqa: T201
    return int(not same or sum(best["ray"].values()) > AIM * sum(best["local"].values()))


def _in_a_process(engine: str, args: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, str(args.data), "--engine", engine, "--experiments"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run([*command, *args.experiments], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    raise SystemExit(main())
