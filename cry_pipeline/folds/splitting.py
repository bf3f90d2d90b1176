"""Who is tested when: folds of a cohort, and the inner split of a fold's training rows.

Belongs here: assigning recordings to folds, saying what a set of folds lacks, and reading and writing
folds. Does not: fitting anything, or looking at features.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.catalog.specs import CohortSpec, ProtocolSpec
from cry_pipeline.digests import table_digest
from cry_pipeline.folds.copies import with_copies
from cry_pipeline.folds.hashed import hashed_folds
from cry_pipeline.folds.schemas import FOLDS
from cry_pipeline.folds.temporal import split_by_time
from cry_pipeline.folds.words import COLUMNS, FoldError, tested

ATTEMPTS = 50
SEED_STRIDE = 1000
"""Seeds tried for one repeat, and the step between them: wide, so that repeats do not share a seed."""
INNER_STARTS = 16


def make_folds(cohort: pd.DataFrame, protocol: ProtocolSpec) -> pd.DataFrame:
    """Assign every recording of ``cohort`` to one test fold per repeat.

    The result depends on the recording ids, donors, labels and the protocol, never on the order of rows.
    ``donor_grouped`` (scikit-learn's StratifiedGroupKFold) keeps each donor in one fold and has every class
    on both sides of every fold; as StratifiedGroupKFold does not promise the latter, the seeds
    ``seed + repeat + 1000 · attempt`` are tried in turn for at most 50 attempts. ``clip_stratified``
    (StratifiedKFold) ignores donors; a class may be absent from a test fold (see :func:`absent_classes`),
    never from a training side. ``augment_then_split`` does the same to recordings and copies of them, see copies.py;
    ``donor_hashed`` hashes donors, see hashed.py; ``temporal`` splits once, by time and donor, see temporal.py.

    Args:
        cohort: one row per recording with the columns recording_id, donor and label, and for ``temporal``
            recorded_at.
        protocol: kind, number of folds, repeats and seed.

    Returns:
        Columns recording_id, donor, label, repeat (int64), fold (int64: the fold that TESTS the recording, or
        :data:`TRAIN_ONLY` where none does), sorted by repeat and recording_id. ``attrs["seeds"]`` lists the seed
        used for each repeat; ``attrs["left_out"]`` says how many recordings ``temporal`` can use on neither side.

    Raises:
        FoldError: ids are repeated or blank, or a class cannot be on both sides of every fold.
    """
    if protocol.kind == "temporal":
        return split_by_time(_checked(cohort, protocol), protocol)
    rows = with_copies(_checked(cohort, protocol), protocol)
    _check_enough(rows, protocol)
    repeats, seeds = [], []
    for repeat in range(protocol.repeats):
        fold, seed = _assign(rows, protocol, repeat)
        repeats.append(rows.assign(repeat=np.int64(repeat), fold=fold))
        seeds.append(seed)
    folds = pd.concat(repeats, ignore_index=True)[COLUMNS]
    folds.attrs["seeds"] = seeds
    return folds


def inner_split(train: pd.DataFrame, seed: int, fraction: float = 0.2) -> tuple[list[str], list[str]]:
    """Split training rows by donor into a part to fit and a part to validate on.

    Every class stays in the fit part. The validation part takes donors, in random order and from several
    starts, as long as that brings each class closer to ``fraction`` of its recordings; the closest is kept.
    A class of a single donor is therefore never validated.

    Args:
        train: one row per recording with the columns recording_id, donor and label.
        seed: decides the order in which donors are tried.
        fraction: share of each class that validation should have, between 0 and 1.

    Returns:
        (recording ids to fit on, recording ids to validate on), each sorted; together all of ``train``.

    Raises:
        FoldError: no donor can be spared without a class vanishing from the fit part.
    """
    if not 0 < fraction < 1:
        raise FoldError(f"The share of an inner split must lie between 0 and 1, not at {fraction}.")
    rows = _checked(train)
    counts = pd.crosstab(rows["donor"], rows["label"])
    chosen = _spare_donors(counts.to_numpy(), np.random.default_rng(seed), fraction)
    if not chosen.any():
        raise FoldError(
            f"{len(counts)} donors in the training rows leave none to validate on without a class vanishing from "
            "the rest; use a cohort with more donors per class, or a model that needs no inner split."
        )
    validation = rows["donor"].isin(counts.index[chosen])
    return rows["recording_id"][~validation].tolist(), rows["recording_id"][validation].tolist()


def summarise_folds(folds: pd.DataFrame) -> pd.DataFrame:
    """Return one row per test fold: repeat, fold, recordings, donors, then the recordings of each class.

    Copies count as recordings of their own: that is what ``augment_then_split`` takes them for.
    """
    keys, labels = ["repeat", "fold"], sorted(folds["label"].unique())
    folds = tested(folds)
    sizes = folds.groupby(keys).agg(recordings=("recording_id", "size"), donors=("donor", "nunique"))
    classes = pd.crosstab([folds["repeat"], folds["fold"]], folds["label"]).rename_axis(columns=None)
    return sizes.join(classes.reindex(columns=labels, fill_value=0)).reset_index()


def absent_classes(folds: pd.DataFrame) -> list[str]:
    """Return a sentence for each class that some test folds lack; empty where every fold tests every class."""
    summary = summarise_folds(folds)
    sentences = []
    for label in sorted(folds["label"].unique()):
        lacking = summary[summary[label] == 0]
        if len(lacking):
            names = ", ".join(
                f"{repeat}-{fold}" for repeat, fold in zip(lacking["repeat"], lacking["fold"], strict=True)
            )
            total = int((folds.loc[folds["repeat"] == 0, "label"] == label).sum())
            sentences.append(
                f"{len(lacking)} of {len(summary)} test folds hold no {label} ({total} recordings): {names}"
            )
    return sentences


def leaking_donors(folds: pd.DataFrame) -> list[str]:
    """Return, sorted, the donors that are on both the training and the test side of some fold.

    A donor is on one side of every fold where all its rows have one value of ``fold``, :data:`TRAIN_ONLY` included.
    """
    homes = folds.groupby(["repeat", "donor"])["fold"].nunique()
    return sorted(set(homes.index.get_level_values("donor")[homes > 1]))


def folds_code_version(protocol: ProtocolSpec, cohort: CohortSpec) -> str:
    """Return the digest of the folds' key less the rows; of these it tells which are selected."""
    return keys.code_version("folds", {"protocol": protocol.parts, "cohort": cohort.parts})


def keep_folds(cohort: pd.DataFrame, protocol: ProtocolSpec, path: Path) -> tuple[pd.DataFrame, bool]:
    """Return (:func:`make_folds`, whether they were found at ``path``); made, they are kept there with provenance."""
    key = keys.key("folds", protocol.parts, table_digest(_checked(cohort, protocol)))
    kept = FOLDS.current(path, key)
    if kept is not None:
        return kept, True
    folds = make_folds(cohort, protocol)
    about = {str(name): value for name, value in folds.attrs.items()}
    FOLDS.write(path, folds, key, protocol=protocol.model_dump(mode="json"), **about)
    return read_folds(path), False


def read_folds(path: Path) -> pd.DataFrame:
    """Read what :func:`keep_folds` kept; raises as :meth:`cry_pipeline.tables.Schema.read`."""
    return FOLDS.read(path)


def _checked(table: pd.DataFrame, protocol: ProtocolSpec | None = None) -> pd.DataFrame:
    """Return the columns that ``protocol`` needs, sorted by recording_id; every later step sees this order only."""
    wanted = COLUMNS[:3] + ["recorded_at"] * (protocol is not None and protocol.kind == "temporal")
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise FoldError(f"Folds need the columns {', '.join(wanted)}; {', '.join(missing)} missing.")
    rows = table[wanted].sort_values("recording_id", ignore_index=True)
    if rows.empty:
        raise FoldError("There are no recordings to make folds of; check the cohort's sources and labels.")
    for column in wanted:
        if rows[column].isna().any():
            raise FoldError(
                f"{int(rows[column].isna().sum())} recordings have no {column}; complete or leave them out."
            )
    repeated = rows.loc[rows["recording_id"].duplicated(), "recording_id"]
    if len(repeated):
        raise FoldError(
            f"{len(repeated)} recording ids come more than once, first {repeated.iloc[0]}; a cohort has each once."
        )
    return rows


def _check_enough(rows: pd.DataFrame, protocol: ProtocolSpec) -> None:
    by_class = rows.groupby("label")
    needed, unit = (protocol.folds, "donors") if protocol.keeps_donors_apart else (2, "recordings")
    counts = by_class["donor"].nunique() if protocol.keeps_donors_apart else by_class.size()
    if len(counts) < 2:
        raise FoldError(f"All recordings are {counts.index[0]}; folds need at least two classes.")
    scarce = counts[counts < needed]
    if len(scarce):
        classes = ", ".join(f"{label} ({count})" for label, count in scarce.items())
        raise FoldError(
            f"{protocol.folds} {protocol.kind} folds need at least {needed} {unit} of each class; too few have "
            f"{classes}. Use fewer folds, or merge or drop the class in the cohort's labels."
        )
    largest = int(by_class.size().max())
    if largest < protocol.folds:
        raise FoldError(
            f"No class has more than {largest} recordings, too few for {protocol.folds} folds; use fewer folds."
        )


def _assign(rows: pd.DataFrame, protocol: ProtocolSpec, repeat: int) -> tuple[np.ndarray, int]:
    """Return (test fold of each row, the seed that gave it)."""
    if protocol.kind == "donor_hashed":
        return hashed_folds(rows, protocol.folds, protocol.seed + repeat), protocol.seed + repeat
    lost: set[str] = set()
    for seed in seeds_of(protocol, repeat):
        fold = _split(rows, protocol, seed)
        counts = pd.crosstab(fold, rows["label"]).reindex(range(protocol.folds), fill_value=0)
        # A class that lies wholly in one fold is absent from the training side of that fold.
        lacking = counts.eq(counts.sum()).any()
        if protocol.keeps_donors_apart:
            lacking |= counts.eq(0).any()
        if not lacking.any():
            return fold, seed
        lost |= set(counts.columns[lacking])
    donors = rows.groupby("label")["donor"].nunique()
    classes = ", ".join(f"{label} ({donors[label]} donors)" for label in sorted(lost))
    raise FoldError(
        f"{ATTEMPTS} seeds gave no {protocol.folds} {protocol.kind} folds with every class on both sides (repeat "
        f"{repeat}); lost: {classes}. Use fewer folds, or merge or drop the class in the cohort's labels."
    )


def seeds_of(protocol: ProtocolSpec, repeat: int) -> Iterator[int]:
    """Return the seeds that are tried for a repeat, in their order."""
    return iter(range(protocol.seed + repeat, protocol.seed + repeat + ATTEMPTS * SEED_STRIDE, SEED_STRIDE))


def _split(rows: pd.DataFrame, protocol: ProtocolSpec, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedGroupKFold if protocol.keeps_donors_apart else StratifiedKFold
    splitter = kind(protocol.folds, shuffle=True, random_state=seed)
    groups = rows["donor"].to_numpy(str) if protocol.keeps_donors_apart else None
    fold = np.full(len(rows), -1, dtype=np.int64)
    with warnings.catch_warnings():
        # Said by absent_classes, with the class and the folds.
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        for number, (_, test) in enumerate(splitter.split(rows, rows["label"].to_numpy(str), groups)):
            fold[test] = number
    return fold


def _spare_donors(counts: np.ndarray, rng: np.random.Generator, fraction: float) -> np.ndarray:
    """Choose validation donors from ``counts [donors, classes]``; returns a mask [donors]."""
    totals = counts.sum(axis=0)
    best, chosen = np.inf, np.zeros(len(counts), dtype=bool)
    for _ in range(INNER_STARTS):
        spared, validated = np.zeros(len(counts), dtype=bool), np.zeros_like(totals)
        distance = fraction**2 * len(totals)
        for donor in rng.permutation(len(counts)):
            grown = validated + counts[donor]
            further = float(((grown / totals - fraction) ** 2).sum())
            if further < distance and (grown < totals).all():
                spared[donor], validated, distance = True, grown, further
        if distance < best and spared.any():
            best, chosen = distance, spared
    return chosen
