"""What tests of the inventory have in common: files to list, and what is said of them."""

import pandas as pd

from cry_pipeline.corpus.sources import take_inventory
from cry_pipeline_tests.corpus.conftest import SmallCorpus


def inventory(corpus: SmallCorpus) -> pd.DataFrame:
    return take_inventory(corpus.roots, corpus.cache)


def counts(corpus: SmallCorpus) -> tuple[int, int]:
    """How many files an inventory hashes, and of how many it knows the hash."""
    about = inventory(corpus).attrs
    return about["computed"], about["reused"]


def refused(corpus: SmallCorpus) -> dict[str, str]:
    """The inventory's refusals by path."""
    listed = inventory(corpus)
    rows = listed[listed["refused"].notna()]
    assert rows["detail"].str.endswith(".").all()
    return dict(zip(rows["path"], rows["refused"], strict=True))


def aside(corpus: SmallCorpus) -> dict[str, str]:
    """What the inventory leaves aside, and why, by path."""
    return {one["path"]: one["why"] for one in inventory(corpus).attrs["left_aside"]}
