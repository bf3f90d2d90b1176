"""The manifest in the form of Croissant: a table, and JSON-LD that says what it is and what each column means.

Belongs here: the JSON-LD of version 1.1 of the format (https://docs.mlcommons.org/croissant/). Does not: which
recordings are in it (recordings.py), what columns mean (corpus/schemas.py says it once), nor recordings themselves.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from cry_pipeline.artefacts import provenance
from cry_pipeline.corpus.download import COMMIT
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.digests import digest, sha256_of
from cry_pipeline.publishing.recordings import Chosen, chosen, new_folder
from cry_pipeline.settings import Settings
from cry_pipeline.tables import Column

FILE, TABLE = "croissant.json", "recordings.parquet"
CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""What the format's names stand for: readers hold it against their own."""
DATA_TYPES = {
    "Int64": "sc:Integer",
    "int64": "sc:Integer",
    "float64": "sc:Float",
    "bool": "sc:Boolean",
    "boolean": "sc:Boolean",
    "datetime64[ns, UTC]": "sc:DateTime",
}
"""By a column's dtype; all others are text."""
CORPUS_PAGE = "https://github.com/gveres/donateacry-corpus"
ODBL = "https://opendatacommons.org/licenses/odbl/1-0/"
AS_CONSENTED = "Donations: only as each donor consented, see the column consent_scope."
CITE = f"G. Veres: donateacry-corpus, {CORPUS_PAGE}, commit {COMMIT}."
ABOUT = (
    "A row for each recording of a baby that could be used: who donated it (an installation of an application, not a "
    "baby), when, with what, what the parents guessed to be the reason, and measures of the sound. The recordings are "
    "not in it; recording_id is the sha256 of a recording's bytes."
)
SYNTHETIC = "SYNTHETIC DATA: no baby cried for these recordings; results say nothing about babies. "
RAI = {
    "rai:dataCollection": "Uploaded by parents with an application for telephones, who guessed the reason while the "
    "baby cried. Curators listened to some and kept what they heard as a cry.",
    "rai:dataBiases": "Labels are guesses that nobody verified. Most recordings are called hungry. The platform and "
    "the loudness differ by class. Recordings of one donor are alike: keep each donor on one side of a split.",
    "rai:personalSensitiveInformation": "Recordings are voices of infants at home. donor and donation_id tell which "
    "recordings are of one household; gender and age band are of the baby.",
    "rai:dataUseCases": "Whether a recording holds a cry. Not for diagnosis; reasons could not be told above chance.",
}


def export_croissant(settings: Settings, folder: Path, *, with_donations: bool = False) -> Chosen:
    """Write ``folder/croissant.json`` and the table that it describes; return what is in it.

    Raises:
        ExportError: something is in ``folder``, or no recording is left.
        FileNotFoundError, DamagedFileError, TableError: there is no manifest, or it is not what was written.
    """
    told = chosen(settings, with_donations=with_donations)
    about = provenance(settings.manifests / TABLE)
    key = digest(manifest=about["digest"], recordings=sorted(told.recordings["recording_id"]))
    with new_folder(folder) as unfinished:
        RECORDINGS.write(unfinished / TABLE, told.recordings, key)
        table = (unfinished / TABLE).read_bytes()
        content = described(told.recordings, key, about["written_at"][:10], sha256_of(table), len(table))
        (unfinished / FILE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return told


def described(recordings: pd.DataFrame, key: str, date: str, sha256: str, size_bytes: int) -> dict[str, Any]:
    """Return the JSON-LD of a table of recordings.

    Args:
        recordings: RECORDINGS.
        key: digest of what the table was made from.
        date: on which the manifest was written, as ``2026-01-31``.
        sha256: of the table's file.
        size_bytes: of the table's file.
    """
    sources = set(recordings["source"])
    public = any(source.startswith("donateacry") for source in sources)
    synthetic = "synthetic" in sources
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "infant-cry-recordings",
        "description": (SYNTHETIC if synthetic else "") + ABOUT,
        "version": f"1.0.0+{key[:16]}",
        "datePublished": date,
        "license": _licences(sources),
        "url": CORPUS_PAGE,
        "creator": {"@type": "sc:Organization", "name": "cry_pipeline"},
        "citeAs": CITE if public else "cry_pipeline: infant-cry-recordings.",
        "keywords": ["audio", "infant cry", *(["synthetic"] if synthetic else [])],
        **({} if synthetic else RAI),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": TABLE,
                "name": TABLE,
                "description": f"{len(recordings)} rows, one for each recording.",
                "contentUrl": TABLE,
                "contentSize": f"{size_bytes} B",
                "encodingFormat": "application/x-parquet",
                "sha256": sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "recordings",
                "name": "recordings",
                "description": "One record for each recording.",
                "key": {"@id": "recordings/recording_id"},
                "field": [_field(name, column) for name, column in RECORDINGS.columns.items()],
            }
        ],
    }


def _field(name: str, column: Column) -> dict[str, Any]:
    among = f"; one of {', '.join(column.among)}" if column.among else ""
    missing = "; may be missing" if column.nullable else ""
    return {
        "@type": "cr:Field",
        "@id": f"recordings/{name}",
        "name": name,
        "description": f"{column.description}{among}{missing}",
        "dataType": DATA_TYPES.get(column.dtype, "sc:Text"),
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
    }


def _licences(sources: Collection[str]) -> list[str]:
    """Return what holds for recordings of ``sources``: of the public corpus, of donations, of made-up ones."""
    said = {
        ODBL: any(source.startswith("donateacry") for source in sources),
        AS_CONSENTED: "inbox" in sources,
        "https://creativecommons.org/publicdomain/zero/1.0/": "synthetic" in sources,
    }
    return [licence for licence, holds in said.items() if holds]
