"""What Dagster calls the code location, and how it knows whose a run is.

Belongs here: names that the processes of the UI and a run in this process have to agree on. Does not: what the code
location holds (definitions.py), nor how it is served (ui.py).
"""

import sys

from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

MODULE = "cry_pipeline.definitions"
CODE_LOCATION = MODULE
"""Its name in the UI, and in what Dagster has on record of sensors and schedules: do not change it."""


def origins(job: str) -> tuple[RemoteJobOrigin, JobPythonOrigin]:
    """Return where the UI finds the job of a run, and where Python does.

    A run that says neither is in no job's list, nor on the start page.
    """
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), SINGLETON_REPOSITORY_NAME)
    code = RepositoryPythonOrigin(sys.executable, ModuleCodePointer(MODULE, "defs"))
    return repository.get_job_origin(job), code.get_job_origin(job)
