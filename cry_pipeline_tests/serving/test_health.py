"""What a monitor is told: well, not made yet, or damaged; and nothing that a stranger must not know."""

from cry_pipeline.corpus.judgements import read_judgements
from cry_pipeline.inference.champions import champion_folder, promotion, switch
from cry_pipeline.serving.health import DAMAGED, NOT_YET
from cry_pipeline.version import __version__
from cry_pipeline_tests.serving.asking import Visitor, ask
from cry_pipeline_tests.serving.sites import Site


def test_what_is_there_is_counted_and_what_is_not_made_yet_is_no_fault(own_site: Site) -> None:
    answer = ask(own_site, "/health")
    assert answer.status == 200
    assert answer.json == {
        "status": "ok",
        "version": __version__,
        "reports": "ready",
        "recordings": 3,
        "champion": NOT_YET,
        "judgements": 0,
    }
    (own_site.settings.reports / "index.html").unlink()
    (own_site.settings.manifests / "recordings.parquet").unlink()
    answer = ask(own_site, "/health")
    assert (answer.status, answer.json["reports"], answer.json["recordings"]) == (200, NOT_YET, NOT_YET)


def test_damage_is_told_by_the_status_and_where_without_a_path(own_site: Site) -> None:
    visitor, settings = Visitor.of(own_site), own_site.settings
    message = {"who": "Ann", "recording_id": own_site.ids["donated"], "verdict": "unusable", "heard_s": 0}
    assert visitor.say("/review/judgements", **message).status == 200
    assert ask(own_site, "/health").json["judgements"] == len(read_judgements(settings.judgements)) == 1
    switch(settings.models, promotion("a" * 64, None, {"cry": {"experiment": "x", "run": "r"}}, ["because"]))
    champion_folder(settings.models, "a" * 64).mkdir(parents=True)
    (judgement,) = settings.judgements.glob("*.json")
    for path in (judgement, settings.manifests / "recordings.parquet"):
        path.write_bytes(path.read_bytes()[:-5])
    answer = ask(own_site, "/health")
    assert answer.status == 503
    assert answer.json == {
        "status": "damaged",
        "version": __version__,
        "reports": "ready",
        "recordings": DAMAGED,
        "champion": DAMAGED,
        "judgements": DAMAGED,
    }
    assert str(settings.data).encode() not in answer.body
