"""What a monitor asks: does the page answer, and is what it answers from there and whole?

Belongs here: the parts that are looked at, in words that name no path, donor or recording: whoever reaches the port may
ask. Does not: looking for what is wrong with an installation (`cry-pipeline doctor`).
"""

import logging
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cry_pipeline.quoting import shown
from cry_pipeline.settings import Settings
from cry_pipeline.version import __version__

LOG = logging.getLogger("cry_pipeline")
NOT_YET, DAMAGED = "not made yet", "cannot be read: the log of the page says why"


def health(request: Request) -> Response:
    """Answer 200 where all that was made can be read, 503 where something of it cannot."""
    settings: Settings = request.app.state.settings
    looks = {"reports": _reports, "recordings": _recordings, "champion": _champion, "judgements": _judgements}
    parts = {name: _looked_at(name, look, settings) for name, look in looks.items()}
    well = DAMAGED not in parts.values()
    content = {"status": "ok" if well else "damaged", "version": __version__, **parts}
    return JSONResponse(content, 200 if well else 503, {"cache-control": "no-store"})


def _looked_at(name: str, look: Callable[[Settings], Any], settings: Settings) -> Any:
    from cry_pipeline.artefacts import DamagedFileError, MissingFileError
    from cry_pipeline.inference.bundle import BundleError
    from cry_pipeline.inference.champions import ChampionError

    try:
        found = look(settings)
    except (MissingFileError, FileNotFoundError):
        return NOT_YET
    except (DamagedFileError, BundleError, ChampionError, OSError) as error:
        LOG.warning("%s: %s", name, shown(str(error)))
        return DAMAGED
    return NOT_YET if found is None else found


def _reports(settings: Settings) -> str | None:
    from cry_pipeline.serving.pages import INDEX

    return "ready" if (settings.reports / INDEX).is_file() else None


def _recordings(settings: Settings) -> int:
    from cry_pipeline.artefacts import read_table

    return len(read_table(settings.manifests / "recordings.parquet"))


def _champion(settings: Settings) -> str | None:
    from cry_pipeline.inference.champions import current, history

    return current(settings.models).name if history(settings.models) else None


def _judgements(settings: Settings) -> int:
    from cry_pipeline.corpus.judgements import read_judgements

    return len(read_judgements(settings.judgements))
