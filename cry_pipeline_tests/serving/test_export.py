"""A copy of the site: all of it or nothing, the same pages, or with the recordings that they play."""

import re
from base64 import b64decode
from pathlib import Path

import pytest

from cry_pipeline.artefacts import DamagedFileError, provenance
from cry_pipeline.publishing.recordings import ExportError
from cry_pipeline.serving.export import export_site
from cry_pipeline.serving.recordings import RecordingError, recording_wav
from cry_pipeline_tests.serving.sites import Site

EMBEDDED = re.compile(r'<audio class="" controls preload="none" src="data:audio/wav;base64,([^"]+)" [^>]*></audio>')
PAGES = ["experiments/a.html", "index.html"]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_copy_is_the_site_byte_for_byte(own_site: Site, tmp_path: Path) -> None:
    (own_site.settings.reports / ".index.html").write_bytes(b"unfinished")
    done = export_site(own_site.settings, tmp_path / "some" / "copy")
    assert files(tmp_path / "some" / "copy") == PAGES
    assert (done.first, done.pages, done.recordings) == (tmp_path / "some" / "copy" / "index.html", 2, 0)
    for name in PAGES:
        assert (tmp_path / "some" / "copy" / name).read_bytes() == (own_site.settings.reports / name).read_bytes()


def test_recordings_are_put_into_the_pages_that_play_them(site: Site, tmp_path: Path) -> None:
    done = export_site(site.settings, tmp_path / "copy", with_recordings=True)
    assert (files(tmp_path / "copy"), done.recordings) == (PAGES, 2)
    text = (tmp_path / "copy" / "experiments" / "a.html").read_text()
    held = [b64decode(data) for data in EMBEDDED.findall(text)]
    assert held == [recording_wav(site.ids[name], site.settings) for name in ("plain", "packed")]
    assert "recordings/" not in text
    assert '<a class="only-served"' in text, "links to the UI stay hidden"
    assert provenance(tmp_path / "copy" / "experiments" / "a.html")["digest"] != "2"
    assert done.first.read_bytes() == (site.settings.reports / "index.html").read_bytes()
    assert done.size_bytes == sum((tmp_path / "copy" / name).stat().st_size for name in PAGES)


def test_an_empty_folder_is_filled_and_no_other(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert export_site(site.settings, tmp_path / "empty").first.is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("mine", "file"):
        with pytest.raises(ExportError, match="is not empty"):
            export_site(site.settings, tmp_path / name)
    assert files(tmp_path / "mine") == ["notes.txt"]


def test_a_recording_or_page_that_cannot_be_read_leaves_nothing_behind(own_site: Site, tmp_path: Path) -> None:
    (own_site.corpus / "a b.flac").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordingError, match="cannot be read"):
        export_site(own_site.settings, tmp_path / "copy", with_recordings=True)
    page = own_site.settings.reports / "experiments" / "a.html"
    page.write_text(page.read_text().replace("A site", "A sight"))
    with pytest.raises(DamagedFileError):
        export_site(own_site.settings, tmp_path / "copy", with_recordings=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_site_there_is_nothing_to_copy(own_site: Site, tmp_path: Path) -> None:
    (own_site.settings.reports / "index.html").unlink()
    with pytest.raises(ExportError, match="`cry-pipeline run` makes the site"):
        export_site(own_site.settings, tmp_path / "copy")
