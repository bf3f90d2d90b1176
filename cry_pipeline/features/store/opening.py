"""A URI → the storage that it names.

Belongs here: which storages there are. Does not: what they do (storage.py says it), and how (a file each).
"""

from pathlib import Path

from cry_pipeline.features.store.folder_storage import FolderStorage
from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.storage import Storage


def open_storage(uri: str | Path) -> Storage:
    """Return the storage that ``uri`` names: a folder's path, or ``s3://bucket/prefix``.

    Raises:
        FeatureStoreError: it is another kind of address, or the package for it is not installed.
    """
    scheme, separator, _ = str(uri).partition("://")
    if not separator:
        return FolderStorage(Path(uri))
    if scheme == "s3":
        from cry_pipeline.features.store.object_storage import ObjectStorage

        return ObjectStorage.open(str(uri))
    raise FeatureStoreError(f"{uri}: features are kept in a folder or under s3://bucket/prefix, not under {scheme}://")
