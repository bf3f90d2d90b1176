"""The loop's world: what was recorded in May is not in the corpus' copy, and its labels are the curators' choice."""

from pathlib import Path

from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.sources import CLEANED
from cry_pipeline_tests.loop.world import CHAMPION, EXPERIMENTS, make_world

ANDROID = "donateacry-android-upload-bucket"
APRIL, MAY, JUNE = 1_428_000_000_000, 1_430_500_000_000, 1_433_500_000_000


def upload(corpus: Path, donor: int, at: int, reason: str = "hu", *, kept: bool = False) -> str:
    stem = f"{donor:08x}-0000-4000-8000-000000000000-{at}-1.7-m-26-{reason}"
    for folder, suffix in ((ANDROID, "3gp"), *([(f"{CLEANED}/hungry", "wav")] if kept else [])):
        path = corpus / folder / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stem)
    return stem


def test_may_is_to_come_and_not_there_yet(tmp_path: Path) -> None:
    corpus, folder = tmp_path / "whole", tmp_path / "world"
    before = [upload(corpus, 1, APRIL, kept=True), upload(corpus, 2, APRIL + 1)]
    later = [upload(corpus, 1, JUNE), upload(corpus, 3, MAY, kept=True), upload(corpus, 3, MAY + 1, "lo")]
    world = make_world(corpus, folder)
    assert {path.stem for path in (folder / "corpus").rglob("*.*")} == set(before)
    assert len(list((folder / "corpus" / CLEANED).rglob("*.wav"))) == 1
    told = [(each.path.stem, each.label) for each in world.uploads]
    assert told == [(later[1], "cry"), (later[2], None), (later[0], "not_cry")], "in the order of their recording"
    fewer = make_world(corpus, tmp_path / "fewer", donors=1)
    assert {each.donor for each in fewer.uploads} == {"00000001-0000-4000-8000-000000000000"}


def test_the_catalog_has_the_champion_and_its_shortcuts_alone(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    catalog = load_catalog(make_world(tmp_path / "whole", tmp_path / "world").settings.catalog)
    assert set(catalog.experiments) == set(EXPERIMENTS)
    assert list(catalog.feature_sets) == [catalog.experiments[CHAMPION].feature_set]
    assert catalog.champion.cry == (CHAMPION,)
