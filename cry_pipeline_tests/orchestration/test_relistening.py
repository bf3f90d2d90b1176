"""Re-listening on an installation: drawn from the champion's run, asked for blindly, shown once heard."""

import pytest

from cry_pipeline.artefacts import read_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.donations.relistening import draw_sample, listened
from cry_pipeline.donations.review import judge, queue
from cry_pipeline.donations.samples import SampleError
from cry_pipeline.orchestration.assets.reports import material_of
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.reports.relistening import RELISTENING_PAGE
from cry_pipeline_tests.orchestration.installations import Installation

EACH = 4


def test_a_sample_is_drawn_heard_and_shown(installation: Installation) -> None:
    settings = installation.settings
    catalog = load_catalog(settings.catalog)
    sample = draw_sample(settings, catalog, EACH)
    manifest = read_table(settings.manifests / "recordings.parquet").set_index("recording_id")
    drawn = manifest.loc[[each.recording_id for each in sample.drawn]]
    assert set(drawn["root"]) == {"corpus"}
    assert [each.label for each in sample.drawn] == ["cry" if kept else "not_cry" for kept in drawn["kept"]]
    asked = [each for each in queue(settings, catalog, "Ann") if each.sample == sample.name]
    assert len(asked) == 2 * EACH
    before = listened(settings, catalog).digest
    for number, each in enumerate(asked):
        judge(settings, each.recording_id, ("cry", "not_cry")[number % 2], "Ann", heard_s=1.0, origin="page")
    assert listened(settings, catalog).digest != before
    written = RELISTENING_PAGE.write(material_of(RELISTENING_PAGE, catalog, Workspace.of(settings)), settings.reports)
    assert written.table is not None
    usual, *_ = written.table.to_dict("records")
    assert (usual["what"], usual["recordings"]) == ("the champion, by the labels, on all recordings", sample.recordings)
    with pytest.raises(SampleError, match="ask for fewer"):
        draw_sample(settings, catalog, sample.recordings, "larger")


def test_without_a_champion_nothing_can_be_drawn_and_the_page_says_so(installation: Installation) -> None:
    settings = installation.settings
    catalog = load_catalog(settings.catalog)
    draw_sample(settings, catalog, EACH)
    (settings.models / "champion.json").unlink()
    with pytest.raises(SampleError, match="no champion"):
        draw_sample(settings, catalog, EACH, "another")
    assert "no champion" in listened(settings, catalog).look().faults[0]
