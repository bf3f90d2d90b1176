"""What the site answers, and to whom: its pages, its recordings, and nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.artefacts import write_html
from cry_pipeline.serving.app import HEADERS
from cry_pipeline.serving.pages import notice
from cry_pipeline_tests.serving.asking import ask
from cry_pipeline_tests.serving.sites import PLACES, RATE_HZ, SAMPLES, Site, samples_of


def test_the_first_page_is_shown_with_what_works_only_when_it_is_served(site: Site) -> None:
    written = (site.settings.reports / "index.html").read_bytes()
    answer = ask(site, "/")
    assert answer == ask(site, "/index.html")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body.count(b'<html lang="en" class="served">') == 1
    shown = answer.body.replace(b' class="served"', b"", 1)
    assert shown.replace(b'<a href="review">Review</a>\n<a href="listen">Listen</a>\n', b"", 1) == written
    assert (site.settings.reports / "index.html").read_bytes() == written


def test_a_page_is_answered_under_its_own_policy_and_may_not_be_framed(site: Site) -> None:
    answer = ask(site, "/experiments/a.html")
    own = answer.headers["content-security-policy"].removesuffix("; frame-ancestors 'none'")
    assert f'<meta http-equiv="Content-Security-Policy" content="{own}">' in answer.body.decode()
    assert own.startswith("default-src 'none'; img-src data:; media-src 'self' data:; style-src 'sha256-")
    assert "frame-ancestors 'none'" not in own


def test_a_page_without_a_policy_is_allowed_nothing(own_site: Site) -> None:
    write_html(own_site.settings.reports / "bare.html", "<html><script>1</script></html>", "3")
    assert ask(own_site, "/bare.html").headers["content-security-policy"].startswith("default-src 'none'; base-uri")


def test_without_a_report_the_page_says_how_to_make_one(own_site: Site) -> None:
    (own_site.settings.reports / "index.html").unlink()
    answer = ask(own_site, "/")
    assert answer.status == 404
    assert b"<code>cry-pipeline run</code> makes the reports" in answer.body


def test_a_notice_is_plain_text() -> None:
    assert b"<h1>a &lt;b&gt;</h1>\n<p>c &lt;d&gt; <code>e</code></p>" in notice("a <b>", "c <d> `e`")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/experiments/../../secret.html",
        "//secret.html",
        "/..\\secret.html",
        "/index.html/",
        "/index.html\0.html",
        "/experiments",
        "/.index.html.00000000000000000000000000000000.tmp",
        "/.hidden.html",
        "/leaderboard.parquet",
        "/link.html",
        "/links/secret.html",
        "/pipe.html",
        "/folder.html",
        "/nothing.html",
    ],
)
def test_nothing_is_shown_but_pages_of_the_folder(own_site: Site, path: str) -> None:
    reports, outside = own_site.settings.reports, own_site.settings.data / "outside"
    outside.mkdir()
    for place in (outside, own_site.settings.data):
        (place / "secret.html").write_bytes(b"secret")
    for name in (".hidden.html", ".index.html.00000000000000000000000000000000.tmp", "leaderboard.parquet"):
        (reports / name).write_bytes(b"secret")
    (reports / "link.html").symlink_to(outside / "secret.html")
    (reports / "links").symlink_to(outside)
    (reports / "folder.html").mkdir()
    os.mkfifo(reports / "pipe.html")
    answer = ask(own_site, path)
    assert answer.status == 404
    assert b"<h1>No such page</h1>" in answer.body


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:3001", "", "10.0.0.1:3001"])
def test_a_name_that_was_rebound_to_this_machine_is_not_answered(site: Site, host: str) -> None:
    for path in ("/", f"/recordings/{site.ids['plain']}.wav", "/assets/evidence/a"):
        answer = ask(site, path, host=host)
        assert answer.status == 400
        assert b"A site" not in answer.body


def test_the_sites_own_names_are_answered(site: Site) -> None:
    public = site._replace(settings=site.settings.model_copy(update={"site_url": "https://cries.example/site/"}))
    assert ask(site, "/", host="localhost:3001").status == 200
    assert ask(public, "/", host="cries.example").status == 200
    assert ask(site, "/", host="cries.example").status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_there_is_nothing_to_change(site: Site, method: str) -> None:
    for path in ("/", f"/recordings/{site.ids['plain']}.wav", "/assets/evidence/a"):
        assert ask(site, path, method=method).status == 405


def test_no_answer_is_shared_with_another_site(site: Site) -> None:
    wav = f"/recordings/{site.ids['plain']}.wav"
    answers = [
        *(ask(site, path) for path in ("/", "/nothing.html", wav, "/recordings/x.wav", "/assets/evidence/a")),
        ask(site, wav, asked="bytes=9999999-"),
        ask(site, "/", host="evil.example"),
        ask(site, "/", method="POST"),
    ]
    assert {answer.status for answer in answers} == {200, 404, 302, 416, 400, 405}
    for answer in answers:
        assert set(HEADERS) <= set(answer.headers)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", PLACES)
def test_a_recording_of_the_manifest_is_played_as_the_pipeline_hears_it(site: Site, name: str) -> None:
    answer = ask(site, f"/recordings/{site.ids[name]}.wav")
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/wav")
    assert (answer.headers["accept-ranges"], answer.headers["cache-control"]) == ("bytes", "no-store")
    samples, rate_hz = samples_of(answer.body)
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, np.roll(SAMPLES, list(PLACES).index(name)))


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        ("bytes=24000-99999999", 24_000, None),
        ("bytes=-44", -44, None),
        ("bytes=-99999999", 0, None),
    ],
)
def test_a_player_gets_the_part_that_it_asks_for(site: Site, asked: str, first: int, end: int | None) -> None:
    path = f"/recordings/{site.ids['plain']}.wav"
    whole, answer = ask(site, path).body, ask(site, path, asked=asked)
    start, stop, _ = slice(first, end).indices(len(whole))
    assert answer.status == 206
    assert answer.body == whole[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=24044-", "bytes=5-4", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(site: Site, asked: str) -> None:
    answer = ask(site, f"/recordings/{site.ids['plain']}.wav", asked=asked)
    assert (answer.status, answer.headers["content-range"], answer.body) == (416, "bytes */24044", b"")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1", "bytes=²-"])
def test_what_is_no_single_part_is_answered_with_the_whole(site: Site, asked: str) -> None:
    path = f"/recordings/{site.ids['plain']}.wav"
    assert ask(site, path, asked=asked) == ask(site, path)


@pytest.mark.parametrize("name", ["0" * 64, "../../corpus/plain", "plain", "A" * 64, "0" * 63])
def test_what_the_manifest_does_not_list_is_no_recording(site: Site, name: str) -> None:
    answer = ask(site, f"/recordings/{name}.wav")
    assert answer.status == 404
    assert b"RIFF" not in answer.body


def test_a_file_that_is_not_the_recording_any_more_is_not_played(own_site: Site, tmp_path: Path) -> None:
    path, recording = own_site.corpus / "plain.wav", f"/recordings/{own_site.ids['plain']}.wav"
    whole = path.read_bytes()
    path.write_bytes((own_site.settings.inbox / "donated.wav").read_bytes())
    answer = ask(own_site, recording)
    assert answer.status == 404
    assert b"is not the recording that the manifest lists" in answer.body
    path.unlink()
    assert ask(own_site, recording).status == 404
    (tmp_path / "elsewhere.wav").write_bytes(whole)
    path.symlink_to(tmp_path / "elsewhere.wav")
    answer = ask(own_site, recording)
    assert answer.status == 404
    assert b"leads out of" in answer.body


def test_without_a_manifest_there_is_no_recording(own_site: Site) -> None:
    (own_site.settings.manifests / "recordings.parquet").unlink()
    answer = ask(own_site, f"/recordings/{own_site.ids['plain']}.wav")
    assert answer.status == 404
    assert b"materialize recordings" in answer.body


def test_an_asset_leads_to_its_page_in_the_dagster_ui(site: Site) -> None:
    answer = ask(site, "/assets/evidence/curation/donor_grouped/svm")
    where = "http://127.0.0.1:3000/assets/evidence/curation/donor_grouped/svm"
    assert (answer.status, answer.headers["location"]) == (302, where)


@pytest.mark.parametrize("key", ["//evil.example", "../graphql", "a/../b", "a?b=c", "a\r\nb", ""])
def test_what_is_no_asset_leads_nowhere(site: Site, key: str) -> None:
    answer = ask(site, f"/assets/{key}")
    assert answer.status == 404
    assert "location" not in answer.headers
