"""How much data it would take: for the reasons by simulated power, for the detector by learning curves.

Belongs here: which runs are asked, table and page. Does not: computing either (evaluation/power.py,
evaluation/learning_curve.py), figures (figures/power.py), and the page's words and looks (``templates/``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.findings import LEVEL
from cry_pipeline.evaluation.learning_curve import Learner, LearningCurve, TooFewDonorsError, learning_curve
from cry_pipeline.evaluation.power import ASKED, DESIGNS, GAINS, WANTED, WIDENING, Curve, Power, power_of
from cry_pipeline.evaluation.records import HONEST, Evidence
from cry_pipeline.evaluation.refitting import is_cheap
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.tables import Schema, integer, number, text

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("power", "donors needed", "AUC", "gain of a doubling", "gain by the trend")
TOLD_GAIN = 0.05
"""The gain over chance that the sentence is about."""

HOW_MUCH = Schema(
    "how much data it would take",
    {
        "part": text("which number it is", among=PARTS),
        "of": text("how donors are collected, or which model is trained"),
        "uar": number("the true UAR that is to be shown; none where a model is trained", 0, 1, nullable=True),
        "tried": integer("models among which the one is judged", 1),
        "donors": integer("that there are, asked or learned from", 0),
        "value": number("the number; none where more donors than were asked are needed", nullable=True),
        "low": number("lower end of its 95 % interval, where it has one", nullable=True),
        "high": number("upper end", nullable=True),
    },
    unique=["part", "of", "uar", "tried", "donors"],
)


@dataclass(frozen=True)
class HowMuch:
    """What the page shows: power for the reasons, if any run asked for them, and the detectors' learning curves.

    ``too_few`` says of which detectors there is no curve, and why.
    """

    power: Power | None
    curves: tuple[LearningCurve, ...]
    too_few: tuple[str, ...] = ()


def reason_names(catalog: Catalog) -> list[str]:
    """Return the experiments that listen for the reason and keep donors apart."""
    return [
        name
        for name, experiment in catalog.experiments.items()
        if _asks(catalog, name, "reason") and catalog.protocols[experiment.protocol].kind in HONEST
    ]


def learner_names(catalog: Catalog) -> list[str]:
    """Return, for each detector that is fitted in a moment, its first experiment on folds by donor."""
    first: dict[str, str] = {}
    for name, experiment in catalog.experiments.items():
        protocol = catalog.protocols[experiment.protocol]
        once = protocol.kind == "donor_grouped" and protocol.repeats == 1
        if once and _asks(catalog, name, "cry") and is_cheap(catalog.models[experiment.model]):
            first.setdefault(experiment.model, name)
    return list(first.values())


def compared(catalog: Catalog) -> list[str]:
    """Return the experiments that the report is made of."""
    return [*reason_names(catalog), *learner_names(catalog)]


def how_much(material: Material) -> HowMuch:
    """Simulate power from the best run that asked for the reason, and train the detectors on shares of the donors.

    Of several cohorts the reason was asked of, it is the one that was asked most often.
    """
    asked = set(reason_names(material.catalog))
    reasons = [found for found in material.evidence if found.provenance.experiment in asked]
    best = max(reasons, key=lambda found: (found.tried, found.headline.value), default=None)
    curves, too_few = [], []
    for learner in _learners(material):
        try:
            curves.append(learning_curve(learner))
        except TooFewDonorsError as error:
            too_few.append(str(error))
    return HowMuch(_power(best, material) if best else None, tuple(curves), tuple(too_few))


def sentence_of(table: "pd.DataFrame") -> str | None:
    """Return, of the report's table, how many donors it would take to show that reasons can be told; None: not asked.

    It is about one model that was named beforehand, with a true UAR of TOLD_GAIN above guessing.
    """
    rows = table[(table["part"] == "donors needed") & (table["tried"] == table["tried"].min())]
    if rows.empty:
        return None
    uar = sorted(rows["uar"].unique())[GAINS.index(TOLD_GAIN)]
    needed = rows[rows["uar"] == uar].set_index("of")
    donors = int(needed["donors"].iloc[0])
    plain, balanced = (_donors(needed["value"][design]) for design in DESIGNS)
    return (
        f"To show that a model with a UAR of {uar:.2f} tells reasons better than guessing would take {plain} donors, "
        f"if they donate as until now, and {balanced} if every reason came from as many; there are {donors:,}."
    )


def _donors(needed: float) -> str:
    return f"about {int(needed):,}" if needed == needed else f"more than {ASKED[-1]:,}"


def _asks(catalog: Catalog, name: str, target: str) -> bool:
    """Return whether the experiment asks for ``target`` and listens."""
    experiment = catalog.experiments[name]
    cohort = catalog.cohorts.get(experiment.cohort)
    return cohort is not None and cohort.target == target and bool(catalog.models[experiment.model].inputs)


def _power(best: Evidence, material: Material) -> Power:
    return power_of(material.runs[best.provenance.experiment], cohort=best.provenance.cohort, tried=best.tried)


def _learners(material: Material) -> Iterator[Learner]:
    """Yield the detectors that there is evidence of, with what they read of the recordings."""
    import pandas as pd

    from cry_pipeline.training.datasets import rows_of
    from cry_pipeline.training.registry import implementation

    if material.features is None:
        return
    for name in learner_names(material.catalog):
        if name not in material.runs:
            continue
        run, experiment = material.runs[name], material.catalog.experiments[name]
        spec: Any = material.catalog.models[experiment.model]
        table = pd.DataFrame(
            {
                "recording_id": run.recording_ids,
                "donor": run.donors,
                "label": [run.classes[code] for code in run.labels],
            }
        )
        store = material.features.stores[experiment.feature_set]
        rows = rows_of(table, run.classes, store.read(run.recording_ids.tolist(), spec.inputs))
        model: Any = implementation(spec.kind)
        values = model.values(spec, rows)
        yield Learner(name, experiment.model, spec, values, run.labels, run.donors, run.folds[0], experiment.seed)


def how_much_rows(found: HowMuch) -> list[dict[str, Any]]:
    """Return the table's rows."""
    return [*(_power_rows(found.power) if found.power else []), *_curve_rows(found.curves)]


def _power_rows(power: Power) -> Iterator[dict[str, Any]]:
    for curve in power.curves:
        about = {"of": curve.design, "uar": curve.uar}
        for tried, shares, needed in _judged(power, curve):
            for donors, share in zip(power.asked, shares, strict=True):
                low, high = _simulated(share, power.corpora)
                yield about | {
                    "part": "power",
                    "tried": tried,
                    "donors": donors,
                    "value": share,
                    "low": low,
                    "high": high,
                }
            yield about | {"part": "donors needed", "tried": tried, "donors": power.donors, "value": needed}


def _judged(power: Power, curve: Curve) -> list[tuple[int, Sequence[float], int | None]]:
    """Return a curve's powers and donors needed, of a model alone and of one of several."""
    alone, among = (1, curve.power, curve.needed), (power.tried, curve.power_tried, curve.needed_tried)
    return [alone, among] if power.tried > 1 else [alone]


def _simulated(share: float, corpora: int) -> tuple[float, float]:
    """Return the 95 % interval (Clopper and Pearson) of a share of simulated corpora."""
    from scipy.stats import binomtest

    found = binomtest(round(share * corpora), corpora).proportion_ci(0.95)
    return float(found.low), float(found.high)


def _curve_rows(curves: Sequence[LearningCurve]) -> Iterator[dict[str, Any]]:
    for curve in curves:
        about = {"of": curve.model, "tried": 1}
        numbers = [("AUC", point.donors, point.auc) for point in curve.points]
        numbers += [
            ("gain of a doubling", point.donors, gain)
            for point, gain in zip(curve.points[1:], curve.doublings, strict=True)
        ]
        numbers.append(("gain by the trend", curve.points[-1].donors, curve.trend))
        for part, donors, at in numbers:
            yield about | {"part": part, "donors": round(donors), **at.model_dump()}


def how_much_page(found: HowMuch, material: Material) -> Mapping[str, Any]:
    """Return what the page shows."""
    return {
        "synthetic": material.synthetic,
        "power": found.power,
        "told": _told(found.power) if found.power else None,
        "rare": found.power and _rare(found.power),
        "sentence": sentence_of(HOW_MUCH_DATA.table(found)),
        "wanted": WANTED,
        "level": LEVEL,
        "widening": WIDENING,
        "designs": DESIGNS,
        "curves": found.curves,
        "too_few": found.too_few,
        "power_picture": _power_picture(found.power) if found.power else None,
        "curve_picture": _curve_picture(found.curves) if found.curves else None,
    }


def _told(power: Power) -> Curve:
    """Return the curve that the sentence is about."""
    return [curve for curve in power.curves if curve.design == "as donated"][GAINS.index(TOLD_GAIN)]


def _rare(power: Power) -> bool:
    """Return whether fewer donors do if the rare reasons come as often as the others."""
    plain, balanced = _told(power), power.of("balanced", _told(power).uar)
    return balanced.needed is not None and (plain.needed is None or balanced.needed < plain.needed)


def _power_picture(power: Power) -> Picture:
    from cry_pipeline.reports.figures import power as plots

    return picture(
        lambda theme: plots.powers(power, theme),
        "How often the verdict would be above chance, by the number of donors; the table holds the same.",
        lambda theme: plots.powers(power, theme, narrow=True),
    )


def _curve_picture(curves: Sequence[LearningCurve]) -> Picture:
    from cry_pipeline.reports.figures import power as plots

    return picture(
        lambda theme: plots.learning(curves, theme),
        "AUC of each detector by the number of donors that it learned from, as in the table.",
        lambda theme: plots.learning(curves, theme, narrow=True),
    )


def _plots(found: HowMuch) -> dict[str, bytes]:
    from cry_pipeline.reports.figures import power as plots

    return {
        **({"power by donors": plots.powers(found.power)} if found.power else {}),
        **({"AUC by donors": plots.learning(found.curves)} if found.curves else {}),
    }


HOW_MUCH_DATA = Report(
    name="how_much_data",
    stage="how_much_page",
    file="how_much_data",
    title="How much data would it take?",
    description="How many donors it would take to show that reasons can be told, simulated from the corpus' own "
    "variance; and what the detector gained from more donors to learn from.",
    reads=("evidence", "features"),
    compared=compared,
    content=how_much,
    schema=HOW_MUCH,
    rows=how_much_rows,
    page=how_much_page,
    plots=_plots,
    glance=("part", "of", "uar", "tried", "donors", "value", "low", "high"),
)
