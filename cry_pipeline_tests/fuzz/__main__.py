"""``python -m cry_pipeline_tests.fuzz``: damaged inputs through every reader of strangers' bytes, and a table of it.

Belongs here: arguments, and what is printed. Does not: the campaign itself (campaign.py), nor the one that is guided
by coverage (guided.py).
"""

import argparse
import logging
import sys
from pathlib import Path

from cry_pipeline.progress import track
from cry_pipeline_tests.fuzz import guided
from cry_pipeline_tests.fuzz.campaign import Campaign, Tally, replay
from cry_pipeline_tests.fuzz.targets import TARGETS

FINDINGS = Path("data/fuzz")


def main() -> int:
    """Run a campaign; 1 where an input broke a rule."""
    parser = argparse.ArgumentParser(prog="python -m cry_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets (default: 100,000)")
    parser.add_argument("--seed", type=int, default=0, help="other inputs for another number (default: 0)")
    parser.add_argument("--only", choices=TARGETS, help="one of the targets, with all inputs")
    parser.add_argument(
        "--findings", type=Path, default=FINDINGS, help=f"where failing inputs go (default: {FINDINGS})"
    )
    parser.add_argument("--guided-s", type=int, default=60, help="seconds of each coverage-guided target (default: 60)")
    parser.add_argument("--replay", type=Path, help="read one kept input in this process, and do nothing else")
    args = parser.parse_args()
    if args.replay:
        sys.stdout.write(f"{replay(args.replay)}\n")
        return 0
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cry_pipeline").setLevel(logging.INFO)
    counts = {name: args.inputs * target.share // 100 for name, target in TARGETS.items()}
    campaign = Campaign({args.only: args.inputs} if args.only else counts, args.seed, args.findings)
    for _ in track(campaign.run(), "reading", total=sum(campaign.counts.values()), unit="inputs"):
        pass
    for name, tally in campaign.tallies.items():
        sys.stdout.write(f"{_line(name, tally)}\n")
    tallies = campaign.tallies
    sys.stdout.write(f"all: {sum(tally.inputs for tally in tallies.values())} inputs\n")
    found = [finding for tally in tallies.values() for finding in tally.findings]
    found += guided.run(args.findings, args.guided_s) if not args.only else []
    sys.stdout.writelines(f"{finding}\n" for finding in found)
    return int(bool(found))


def _line(name: str, tally: Tally) -> str:
    outcomes = " ".join(f"{outcome}={count}" for outcome, count in tally.outcomes.most_common())
    return (
        f"{name}: inputs={tally.inputs} {outcomes} | crashes={tally.crashes} hangs={tally.hangs} "
        f"undocumented={tally.undocumented} peak={tally.peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    raise SystemExit(main())
