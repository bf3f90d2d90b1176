"""The leaderboard: nothing is shown without what it must be read with."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.evidence import EvidenceError, evaluate
from cry_pipeline.evaluation.families import in_families
from cry_pipeline.evaluation.records import DAMAGED, Evidence, Provenance
from cry_pipeline.reports.figures import intervals as plots
from cry_pipeline.reports.leaderboard import LEADERBOARD, NO_TWIN, arrange, entries_of, read_leaderboard, twins
from cry_pipeline.reports.pages import PAGES
from cry_pipeline.reports.report import Material, Report, Written

CATALOG = load_catalog()
SERVED = "assets/"
"""Where addresses begin that serving answers and no file."""
VOID = {"meta", "source", "img", "br", "input"}


class Page(HTMLParser):
    """Reads a page, checking that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def links_of(text: str) -> set[str]:
    """Return the files that a page leads to, having checked that it is well formed, needs no network and forbids it."""
    page = Page(text)
    check_policy(page, text)
    assert not re.search(r"url\(|@import|https?:", text)
    ids = {attributes["id"] for _, attributes in page.attributes if "id" in attributes}
    links = set()
    for tag, attributes in page.attributes:
        assert tag not in {"link", "iframe"}
        for name in () if tag == "audio" else ("src", "srcset"):
            assert (attributes.get(name) or "data:image/png;base64,").startswith("data:image/png;base64,"), tag
        if tag == "img":
            assert attributes["alt"]
        if tag == "a" and not str(attributes["href"]).removeprefix("../").startswith(SERVED):
            file, _, place = str(attributes["href"]).partition("#")
            assert file or place in ids, "every link leads somewhere"
            links |= {file} - {""}
    return links


def check_policy(page: Page, text: str) -> None:
    """Check that a page allows its pictures, recordings beside it, its one style and its script, if it has one.

    Nothing else is allowed, and this is enough: a style attribute or a handler would not be obeyed.
    """
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) <= 1
    tag, policy = page.attributes[3]
    assert (tag, policy["http-equiv"]) == ("meta", "Content-Security-Policy"), "before all that it is to rule"
    assert policy["content"] == (
        f"default-src 'none'; img-src data:; media-src 'self' data:; style-src '{digest_of(style)}'; "
        + "".join(f"script-src '{digest_of(script)}'; " for script in scripts)
        + "base-uri 'none'; form-action 'none'"
    )
    for tag, attributes in page.attributes:
        assert tag not in {"object", "embed", "base", "form", "svg"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert not str(attributes.get("href", "")).lower().startswith(("javascript:", "data:", "//"))
        if tag == "script":  # what is no program, but data for it, is not executed
            assert attributes in ({}, {"type": "application/json", "id": attributes.get("id")})
        # A sound that the page holds itself is there without a server, too.
        if tag == "audio" and not re.fullmatch(r"data:audio/wav;base64,[A-Za-z0-9+/=]+", str(attributes["src"])):
            assert re.fullmatch(r"(\.\./)?recordings/[0-9a-f]{64}\.wav", str(attributes["src"]))
            assert attributes["class"] == "only-served"


def digest_of(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def html_of(report: Report, material: Material) -> str:
    """Return the page of a report."""
    return report.html(report.content(material), material)


def leaderboard(evidence: list[Evidence]) -> pd.DataFrame:
    return LEADERBOARD.table(entries_of(evidence))


def leaderboard_html(evidence: list[Evidence]) -> str:
    return html_of(LEADERBOARD, Material(CATALOG, evidence))


def write(evidence: list[Evidence], folder: Path, not_run: dict[str, str] | None = None) -> Written:
    return LEADERBOARD.write(Material(CATALOG, evidence, not_run or {}), folder)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words: drawing takes most of a page's time."""
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


@pytest.fixture(scope="module")
def html(many: list[Evidence]) -> str:
    return leaderboard_html(many)


def test_each_clip_level_row_stands_directly_below_its_donor_grouped_twin(many: list[Evidence]) -> None:
    table = leaderboard(many)
    assert table["experiment"].tolist() == [
        "lr_grouped",
        "lr_clips",
        "lr_other_features",
        "weak_grouped",
        "weak_clips",
        "alone_clips",
        "cry_lr",
    ], "the best donor-grouped first; a clip-level result never raises its model"
    assert arrange(many[::-1]) == arrange(many)
    twin = table.set_index("experiment")["twin"]
    assert twin["lr_clips"] == "lr_grouped"
    assert twin["weak_clips"] == "weak_grouped"
    assert twin["alone_clips"] == NO_TWIN
    assert twin["lr_grouped"] == twin["cry_lr"] == ""


def test_a_clip_level_row_is_read_with_the_donor_grouped_one_and_not_with_a_temporal_one(many: list[Evidence]) -> None:
    """A temporal run keeps donors apart, too."""
    grouped, clips = (
        next(each for each in many if each.provenance.experiment == n) for n in ("lr_grouped", "lr_clips")
    )
    later = {"experiment": "lr_temporal", "protocol": "temporal", "protocol_kind": "temporal"}
    temporal = grouped.model_copy(update={"provenance": grouped.provenance.model_copy(update=later)})
    more = {"experiment": "lr_grouped_3x5", "protocol": "donor_grouped_3x5"}
    repeated = grouped.model_copy(
        update={"provenance": grouped.provenance.model_copy(update=more), "repeats": grouped.repeats + 2}
    )
    for found in ([grouped, temporal, clips], [temporal, clips, grouped], [clips, temporal, grouped]):
        assert twins(found) == {"lr_grouped": "", "lr_temporal": "", "lr_clips": "lr_grouped"}
        assert [each.provenance.experiment for each in arrange(found)] == ["lr_grouped", "lr_temporal", "lr_clips"]
    assert twins([temporal, clips])["lr_clips"] == NO_TWIN
    assert twins([grouped, repeated, clips])["lr_clips"] == "lr_grouped_3x5"


def test_no_experiment_of_the_packaged_catalog_is_read_with_a_temporal_one() -> None:
    catalog = CATALOG
    given = {"run_digest": "a", "feature_digest": "b", "sources": ()}
    found = [
        Evidence.model_construct(
            provenance=Provenance.of(name, catalog, **given), repeats=catalog.protocols[of.protocol].repeats
        )
        for name, of in catalog.experiments.items()
    ]
    read_with = {name: twin for name, twin in twins(found).items() if twin}
    assert len(read_with) >= 8, "as many as leak"
    for name, twin in read_with.items():
        of, its = catalog.experiments[name], catalog.experiments[twin]
        assert catalog.protocols[its.protocol].kind == "donor_grouped", name
        assert (of.cohort, of.model, of.feature_set, of.seed) == (its.cohort, its.model, its.feature_set, its.seed)


def test_accuracy_stands_beside_the_majority_rate_and_clip_level_is_qualified(many: list[Evidence]) -> None:
    table = leaderboard(many)
    columns = list(table.columns)
    assert columns[columns.index("accuracy") + 1] == "majority_rate"
    assert table["majority_rate"].tolist() == pytest.approx([1 / 3] * 6 + [1 / 2])
    clips = table["protocol"] == "clip_stratified"
    assert table.loc[clips, "qualification"].str.contains("not evidence about new babies").all()
    assert (table.loc[~clips, "qualification"] == "").all()
    assert table.set_index("experiment").loc["weak_grouped", "verdict"] == "not distinguishable from chance"


def test_the_page_stands_alone_and_is_well_formed(html: str, many: list[Evidence]) -> None:
    links = links_of(html)
    assert {f"experiments/{found.provenance.experiment}.html" for found in many} <= links
    assert set(PAGES) <= links
    assert sum(tag == "picture" for tag, _ in Page(html).attributes) == 1


def test_rows_to_be_read_together_stand_in_one_body_of_the_table(html: str) -> None:
    """The script moves and shows bodies as a whole; what has no donor-grouped twin comes last in any order."""
    bodies = re.findall(r"<tbody( class=\"alone\")?>\n<tr(.*?)</tbody>", html, re.DOTALL)
    held = [
        (bool(alone), re.findall(r'<th scope="row"><a href="experiments/(\w+)\.html"', rows)) for alone, rows in bodies
    ]
    assert [each for each in held if each[1]] == [
        (False, ["lr_grouped", "lr_clips"]),
        (False, ["lr_other_features"]),
        (False, ["weak_grouped", "weak_clips"]),
        (True, ["alone_clips"]),
        (False, ["cry_lr"]),
    ]


def test_every_column_of_a_row_is_named_where_the_head_of_the_table_is_not_seen(html: str) -> None:
    table = html[html.index('<table class="rows experiments">') :]
    table = table[: table.index("</table>")]
    heads = [
        re.sub(r"<.*?>", "", head) for head in re.findall(r"<th scope=\"col\" class=\"number\".*?>(.*?)</th>", table)
    ]
    row = table[table.index("<tr data-experiment") :]
    assert re.findall(r'data-label="(.*?)"', row[: row.index("</tr>")]) == heads


def test_a_cohort_tested_on_known_donors_alone_has_its_rows(evidence) -> None:
    material = Material(CATALOG, [evidence("lr_clips", keeps_donors_apart=False)])
    text = Page(LEADERBOARD.html(LEADERBOARD.content(material), material)).text
    assert NO_TWIN in text
    assert "is corrected for so many" not in text


def test_the_page_says_for_how_many_its_verdicts_are_corrected(evidence) -> None:
    found = in_families([evidence("one"), evidence("other"), evidence("lr_clips", keeps_donors_apart=False)])
    material = Material(CATALOG, found)
    text = Page(LEADERBOARD.html(LEADERBOARD.content(material), material)).text
    assert "2 experiments listened and were tested on donors that they were not trained on" in text


def test_the_page_holds_verdicts_digests_and_limits(html: str, many: list[Evidence]) -> None:
    text = Page(html).text
    for found in many:
        assert found.sentence in text
        assert found.digest in text
        assert found.provenance.run_digest in text
    assert "SYNTHETIC" not in text
    assert text.count("donors on both sides of the split: not evidence about new babies") == 6, "in table and section"
    assert text.count(NO_TWIN) == 1
    assert text.count("compare with its donor-grouped twin") == 2
    assert "How to read this" in text
    assert "What this does not show" in text
    assert "Not for diagnosis" in text


@pytest.mark.usefixtures("without_figures")
def test_a_page_with_any_generated_recording_says_so_first(evidence, many: list[Evidence]) -> None:
    made_up = evidence("made_up", sources=("donateacry_ios", "synthetic"))
    page = leaderboard_html([many[3], made_up])
    assert "<title>SYNTHETIC DATA — Leaderboard</title>" in page
    assert "<h1>SYNTHETIC DATA — Leaderboard</h1>" in page
    assert "made_up (synthetic)" in page
    assert "cry_lr (synthetic)" not in page


@pytest.mark.usefixtures("without_figures")
def test_details_are_escaped(evidence) -> None:
    page = leaderboard_html([evidence("x", details={"device": "<script>alert(1)</script>"})])
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.usefixtures("without_figures")
def test_classes_absent_from_the_truth_are_said(predict, provenance) -> None:
    predictions, folds = predict()
    found = evaluate(
        predictions.assign(p_whale=0.0), ("not_cry", "cry", "whale"), "reason", folds=folds, provenance=provenance()
    )
    assert "No recording of: whale. Means leave these classes out." in Page(leaderboard_html([found])).text


@pytest.mark.usefixtures("without_figures")
def test_files_are_written_whole_and_equal_for_equal_evidence(evidence, tmp_path: Path) -> None:
    found = [evidence("a"), evidence("b", model="svm")]
    report = write(found, tmp_path / "reports")
    first = report.page.read_bytes()
    assert not report.reused
    assert write(found[::-1], tmp_path / "reports").reused
    assert write(found[::-1], tmp_path / "others").page.read_bytes() == first
    assert not write(found[:1], tmp_path / "reports").reused
    names = ["leaderboard.html", "leaderboard.parquet"]
    assert sorted(each.name for each in report.page.parent.iterdir()) == names
    pd.testing.assert_frame_equal(read_leaderboard(tmp_path / "others"), leaderboard(found))


def test_leaderboard_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cry-pipeline run"):
        read_leaderboard(tmp_path)


def test_nothing_to_report_is_said_on_the_page(many: list[Evidence], tmp_path: Path) -> None:
    assert list(leaderboard([]).columns) == list(leaderboard(many).columns)
    report = write([], tmp_path, {"cry_lr": DAMAGED})
    assert not report.reused
    text = Page(report.page.read_text(encoding="utf-8")).text
    assert "Nothing has been evaluated yet" in text
    assert f"cry_lr {DAMAGED}" in text
    folded = re.findall(r"<details>.*?</details>", report.page.read_text(encoding="utf-8"), re.DOTALL)
    assert [f'<code>cry_lr</code> <span class="muted">{DAMAGED}' in each for each in folded] == [True]
    assert "1 experiment has no evidence" in folded[0]
    assert "make study" in folded[0]
    with pytest.raises(EvidenceError, match="Nothing has been evaluated yet"):
        read_leaderboard(tmp_path)
    assert write([], tmp_path, {"cry_lr": DAMAGED}).reused


def test_two_runs_of_one_experiment_are_refused(many: list[Evidence]) -> None:
    with pytest.raises(EvidenceError, match="more than once for cry_lr"):
        leaderboard_html([many[3], many[3]])
