"""What a champion says of donations: asked once for each bundle and recording, and then kept.

Belongs here: asking, and the file of each bundle's scores. Does not: what follows from a score (triage.py).

Scores are kept because they must not change: of a recording that a later champion learned from, only what was said
before is worth anything.

The bundle's answer is the mean of its fold models, which is less extreme than that of one. Out-of-fold scores are of
one model each. So what one of them says, drawn by the recording's id, is kept, too: it can be compared with these.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.decoding import DecodeError, load_samples
from cry_pipeline.corpus.listing import SourceError
from cry_pipeline.inference.bundle import Bundle
from cry_pipeline.inference.graphs import open_graph, run_graph
from cry_pipeline.inference.predict import Predictor
from cry_pipeline.progress import track
from cry_pipeline.tables import Schema, number, sha256

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LOG = logging.getLogger("cry_pipeline")
STAGE = "scores"
SCORES = Schema(
    "a bundle's scores of donations",
    {
        "recording_id": sha256("recording that the bundle was asked about"),
        "score": number("probability of a cry; none of what is too short for it", 0, 1, nullable=True),
        "by_one": number("what one of its fold models says; none of what is too short, or long", 0, 1, nullable=True),
    },
    unique=["recording_id"],
)


def scores_path(folder: Path, bundle: str) -> Path:
    """Return where the scores of the bundle of digest ``bundle`` lie, in the folder of all scores."""
    return folder / f"{bundle[:16]}.parquet"


def score(recordings: pd.DataFrame, bundle: Bundle, folder: Path, locate: Callable[[str, str], Path]) -> pd.DataFrame:
    """Return SCORES of ``recordings``, in their order; the ``attrs`` say how many were ``computed`` and ``reused``.

    A file that cannot be read is said and has no row: it is asked about again.

    Args:
        recordings: recording_id, root and path.
        bundle: the champion.
        folder: of all scores.
        locate: returns where the file of a root and path is.

    Raises:
        CageError: the decoder cannot be had as the settings ask for.
    """
    path, key = scores_path(folder, bundle.digest), keys.key(STAGE, None, bundle.digest)
    known = SCORES.current(path, key)
    known = SCORES.table_of([]) if known is None else known
    unknown = recordings[~recordings["recording_id"].isin(known["recording_id"])]
    said = _asked(unknown, bundle, locate) if len(unknown) else []
    if said:
        known = pd.concat([known, SCORES.table_of(said)], ignore_index=True)
        known = known.sort_values("recording_id", ignore_index=True)
        SCORES.write(path, known, key, bundle=bundle.digest)
    scores = recordings[["recording_id"]].merge(known, on="recording_id")
    scores.attrs = {"computed": len(said), "reused": len(recordings) - len(unknown)}
    return scores


def by_one_of(folder: Path, bundles: Iterable[str]) -> dict[str, float]:
    """Return what one fold model of its bundle says of each recording that one of ``bundles`` was asked about."""
    tables = (SCORES.read(path) for bundle in bundles if (path := scores_path(folder, bundle)).exists())
    return {recording: by_one for table in tables for recording, _, by_one in table.itertuples(index=False)}


def _asked(recordings: pd.DataFrame, bundle: Bundle, locate: Callable[[str, str], Path]) -> list[dict]:
    predictor, graph = Predictor(bundle.folder), open_graph(bundle.targets["cry"].model)
    rows = []
    asked = recordings[["recording_id", "root", "path"]].itertuples(index=False)
    for recording, root, path in track(asked, "Asking the champion", total=len(recordings)):
        try:
            file = locate(str(root), str(path))
            said = predictor.predict(file)
            short = len(said.segments) == 1
            by_one = _by_one(file, bundle, graph, int(str(recording), 16)) if short else None
            row = {"score": said.cry_probability, "by_one": by_one}
        except DecodeError as error:
            LOG.warning("triage: the champion cannot say anything of %s", error)
            row = {}
        except (OSError, SourceError) as error:
            LOG.warning("triage: %s cannot be asked about: %s", path, error)
            continue
        rows.append({"recording_id": recording, **row})
    return rows


def _by_one(file: Path, bundle: Bundle, graph: "InferenceSession", number: int) -> float:
    """Return the probability of a cry of the fold model of that ``number``, modulo how many there are."""
    part = bundle.targets["cry"]
    _, members = run_graph(graph, load_samples(file, part.features.sample_rate_hz).astype(np.float32, copy=False))
    return float(members[number % len(members), part.labels.classes.index("cry")])
