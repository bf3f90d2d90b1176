"""A URI → the storage that it names.

Belongs here: which storages there are. Does not: what they do (storage.py says it), and how (a file each).
"""

from pathlib import Path

from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.storage import Storage
from cry_pipeline.storage.places import Folder, open_place


def open_storage(uri: str | Path) -> Storage:
    """Return the storage that ``uri`` names: a folder's path, or ``s3://bucket/prefix``.

    Raises:
        PlaceError: it is another kind of address, or the package for it is not installed.
    """
    place = open_place(uri)
    if isinstance(place, Folder):
        return FolderStorage(place.folder)
    from cry_pipeline.features.store.object_storage import ObjectStorage

    return ObjectStorage(place)
