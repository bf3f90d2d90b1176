"""Models trained on dealt labels: what a method that has nothing to learn comes to, training and splits included.

Belongs here: dealing labels, making folds of each deal, fitting to it, keeping what came out. Does not: fitting itself
(refitting.py), dealing (resampling.py), and what a run is worth beside these (nulls.py).

A deal is whole donors' labels given to other donors, see :func:`.resampling.deal_labels`; its folds are made by the
run's protocol from the labels dealt, as the run's were from its own. What is kept are metrics alone: no recording,
donor or label can be told from them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline import keys
from cry_pipeline.artefacts import DamagedFileError, MissingFileError, read_json, write_json
from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.catalog.specs import ProtocolSpec
from cry_pipeline.engine import Engine, Local
from cry_pipeline.evaluation.metrics import Floats, some_metrics
from cry_pipeline.evaluation.nulls import METRICS
from cry_pipeline.evaluation.records import HONEST
from cry_pipeline.evaluation.refitting import answer_of, is_cheap, refit
from cry_pipeline.evaluation.resampling import deal_labels
from cry_pipeline.folds.many import grouped_folds
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.folds.words import TRAIN_ONLY, FoldError
from cry_pipeline.progress import track

LOG = logging.getLogger("cry_pipeline")
STAGE = "null"
FILE = "null.json"
DEALS = 200
"""Deals of the labels; see :func:`.nulls.p_value_of` for what so few can tell."""
FEWEST_DEALS = 50
"""Deals that folds could be made of, at least: fewer are no null."""
AT_A_TIME = 10
"""Deals that a worker is given at once."""
ALONE = Local()

T = TypeVar("T")


class Cohort(NamedTuple):
    """Who is in a run, in the order of recording ids; what deals are made of, and of nothing else."""

    recording_ids: tuple[str, ...]
    donors: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, folds: pd.DataFrame, classes: Sequence[str]) -> "Cohort":
        """Return the recordings of ``folds``, columns recording_id, donor and label, each once."""
        rows = folds.drop_duplicates("recording_id").sort_values("recording_id")
        ids, donors, labels = (tuple(rows[name].tolist()) for name in ("recording_id", "donor", "label"))
        return cls(ids, donors, labels, tuple(classes))

    @property
    def codes(self) -> NDArray[np.int64]:
        """Position of each label among the classes, int ``[recordings]``."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.labels)).astype(np.int64)


@dataclass(frozen=True)
class Deals:
    """Labels dealt between donors, and the folds made of each deal.

    ``codes`` are int ``[deals, recordings]``, ``folds`` int ``[deals, repeats, recordings]``; ``lost`` is how many more
    were dealt, of which the protocol could make no folds.
    """

    codes: NDArray[np.int64]
    folds: NDArray[np.int64]
    lost: int


def null_digest(
    spec: BaseModelSpec, protocol: ProtocolSpec, run_digest: str, *, deals: int | None = None, seed: int = 0
) -> str:
    """Return what the metrics of a run's models on dealt labels are kept under; empty where none are trained.

    None are where a fit is dear; where a model hears nothing, as it was not tried to find anything; and where donors
    are on both sides of the split: models would then learn the dealt labels by recognising donors. Run digests stand
    for model, recordings, features and seeds.
    """
    if not is_cheap(spec) or protocol.kind not in HONEST:
        return ""
    asked = {"deals": DEALS if deals is None else deals, "seed": seed, "protocol": protocol.parts}
    return keys.key(STAGE, asked, {"run": run_digest})


def deal(cohort: Cohort, protocol: ProtocolSpec, deals: int, seed: int = 0, engine: Engine = ALONE) -> Deals:
    """Deal the labels of ``cohort`` and make the protocol's folds of each deal; remembered for the next experiment.

    Args:
        cohort: whose labels.
        protocol: of the run; one that keeps donors apart.
        deals: how many.
        seed: of the deals.
        engine: makes folds side by side.
    """
    return _remembered(cohort, protocol, deals, seed, engine)  # pyright: ignore[reportArgumentType] - a frozen spec


@lru_cache(maxsize=8)
def _remembered(cohort: Cohort, protocol: ProtocolSpec, deals: int, seed: int, engine: Engine) -> Deals:
    dealt = np.concatenate(list(deal_labels(cohort.codes, np.array(cohort.donors), permutations=deals, seed=seed)))
    if protocol.kind == "donor_grouped":
        by_name = np.argsort(np.argsort(cohort.classes))[dealt]
        folds, made = grouped_folds(by_name, np.array(cohort.donors), protocol)
    else:
        work = partial(_all_folds, cohort, protocol, dealt)
        found = _in_chunks(work, deals, engine, "folds of dealt labels")
        made = np.array([of_deal is not None for of_deal in found])
        nothing = np.full((protocol.repeats, len(cohort.donors)), TRAIN_ONLY)
        folds = np.stack([nothing if of_deal is None else of_deal for of_deal in found])
    return Deals(dealt[made], folds[made], int((~made).sum()))


def retrain(
    spec: BaseModelSpec, values: NDArray, deals: Deals, *, classes: int, seed: int = 0, engine: Engine = ALONE
) -> dict[str, Floats]:
    """Return UAR and AUC of models fitted to each deal, ``[deals]``; NaN for those that are lost.

    Args:
        spec: of a model on one row of values per recording.
        values: what it sees of the recordings, ``[recordings, values]``.
        deals: of their labels.
        classes: how many there are.
        seed: of the run.
        engine: fits side by side.
    """
    work = partial(_metrics_of, spec, values, deals, classes, seed)
    found = _in_chunks(work, len(deals.codes), engine, "models on dealt labels")
    lost = [dict.fromkeys(METRICS, np.nan)] * deals.lost
    return {name: np.array([of_deal[name] for of_deal in chain(found, lost)]) for name in METRICS}


def kept_null(
    experiment: str, digest: str, run_digest: str, root: Path, make: Callable[[], dict[str, Floats]]
) -> dict[str, Floats]:
    """Return what ``make`` does, kept under ``root/<experiment>/<first 16 digits of its digest>``."""
    path = root / experiment / digest[:16] / FILE
    try:
        said = read_json(path)
        if said["digest"] == digest:
            return {name: np.append(said[name], np.full(said["lost"], np.nan)) for name in METRICS}
    except MissingFileError:
        pass
    except DamagedFileError as error:
        LOG.warning("%s", error)
    made = make()
    kept = np.isfinite(made[METRICS[0]])
    content = {name: made[name][kept].tolist() for name in METRICS}
    write_json(path, {"digest": digest, "run": run_digest, "lost": int((~kept).sum()), **content})
    return made


def _all_folds(cohort: Cohort, protocol: ProtocolSpec, dealt: NDArray, places: range) -> list[NDArray[np.int64] | None]:
    return [_folds_of(cohort, protocol, dealt, place) for place in places]


def _folds_of(cohort: Cohort, protocol: ProtocolSpec, dealt: NDArray, place: int) -> NDArray[np.int64] | None:
    """Return the folds of one deal, int ``[repeats, recordings]``; None where none can be made."""
    labels = np.array(cohort.classes)[dealt[place]]
    table = pd.DataFrame({"recording_id": cohort.recording_ids, "donor": cohort.donors, "label": labels})
    try:
        folds = make_folds(table, protocol)
    except FoldError:
        return None
    return folds["fold"].to_numpy(np.int64).reshape(protocol.repeats, -1)


def _metrics_of(
    spec: BaseModelSpec, values: NDArray, deals: Deals, classes: int, seed: int, places: range
) -> list[dict[str, float]]:
    """Return the metrics of each of some deals; what they have in common of their fits is done once."""
    answer, metrics = answer_of(spec, values, classes), []
    for codes, folds in zip(deals.codes[places], deals.folds[places], strict=True):
        probabilities = refit(spec, values, codes, folds, classes=classes, seed=seed, answer=answer)
        found = [some_metrics(METRICS, codes, *of_repeat) for of_repeat in zip(probabilities, folds, strict=True)]
        metrics.append({name: float(np.mean([of_repeat[name] for of_repeat in found])) for name in METRICS})
    return metrics


def _in_chunks(work: Callable[[range], list[T]], count: int, engine: Engine, title: str) -> list[T]:
    """Return what ``work`` says of ``range(count)``, some of it at a time, in its order."""
    chunks = [range(start, min(start + AT_A_TIME, count)) for start in range(0, count, AT_A_TIME)]
    done: dict[int, list[T]] = {}
    for chunk, results in track(engine.map(work, chunks), title, total=len(chunks), unit="tens"):
        done[chunk.start] = results
    return list(chain.from_iterable(done[chunk.start] for chunk in chunks))
