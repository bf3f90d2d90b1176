"""A thousand damaged inputs break no rule; and a campaign notices whatever does."""

import random
from pathlib import Path

import pytest

from cry_pipeline_tests.fuzz import seeds
from cry_pipeline_tests.fuzz.campaign import Campaign, replay
from cry_pipeline_tests.fuzz.guided import PARSERS
from cry_pipeline_tests.fuzz.misbehaving import MISBEHAVING
from cry_pipeline_tests.fuzz.mutating import damaged
from cry_pipeline_tests.fuzz.targets import TARGETS


def test_a_thousand_damaged_inputs_are_taken_or_refused(tmp_path: Path):
    campaign = Campaign({name: 10 * target.share for name, target in TARGETS.items()}, 0, tmp_path / "found")
    assert len(list(campaign.run())) == 1000
    found = [finding for tally in campaign.tallies.values() for finding in tally.findings]
    assert not found, "\n".join(found)
    for name, tally in campaign.tallies.items():
        assert tally.outcomes["taken"], f"{name}: nothing is taken any more, so that not much can be broken"
        assert len(tally.outcomes) > 1, f"{name}: nothing is refused"


def test_whole_files_are_taken(tmp_path: Path):
    for name, target in TARGETS.items():
        for label, data in target.make_seeds().items():
            (tmp_path / name).mkdir(exist_ok=True)
            outcome = target.read(label, data, tmp_path / name)
            odd = label in {"foreign", "unsealed", "fancy"} or (name == "names" and label > "1")
            assert (outcome == "taken") is not odd, (name, label)
    assert len(seeds.CONTAINERS) >= 12


def test_whatever_breaks_a_rule_is_counted_kept_and_can_be_done_again(tmp_path: Path):
    counts = {"raises": 1, "behaves": 20, "crashes": 2, "grows": 1, "hangs": 1}
    campaign = Campaign(counts, 0, tmp_path, MISBEHAVING, limit_s=2, most_mb=200)
    assert len(list(campaign.run())) == 25
    tallies = campaign.tallies
    assert (tallies["raises"].undocumented, tallies["raises"].crashes) == (1, 0)
    assert (tallies["crashes"].crashes, tallies["hangs"].hangs, tallies["grows"].undocumented) == (2, 1, 1)
    assert tallies["behaves"].outcomes.total() == 20
    assert not tallies["behaves"].findings
    said = "\n".join(finding for tally in tallies.values() for finding in tally.findings)
    for words in ("IndexError: ", "ends the process with -6", "takes more than 2 s", "MB, more than"):
        assert words in said
    kept = tmp_path / "raises--some+file--0-0"
    assert str(kept) in said
    assert kept.read_bytes() == campaign.input("raises", 0)[1]
    with pytest.raises(IndexError):
        replay(kept, MISBEHAVING)


def test_the_same_seed_damages_alike_and_every_part_of_a_file_is_damaged():
    data, others = bytes(range(256)) * 4, [b"another file"]

    def series(seed: int, data: bytes = data) -> list[bytes]:
        return [damaged(data, others, random.Random(f"{seed}/{number}")) for number in range(300)]  # noqa: S311

    assert series(1) == series(1)
    assert series(1) != series(2)
    changed = {
        place
        for made in series(1)
        if len(made) == len(data)
        for place in range(len(data))
        if made[place] != data[place]
    }
    assert min(changed) < 8
    assert max(changed) > len(data) - 64
    assert set(series(1, b"")) > {b""}


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_guided_by_coverage_takes_its_seeds(name: str):
    make_parser, make_seeds = PARSERS[name]
    parse = make_parser()
    for data in [b"", *make_seeds().values()]:
        parse(data)
