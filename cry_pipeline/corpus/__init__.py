"""Audio files → manifest: where recordings come from, what their names say, what is in them, which are refused."""

MANIFEST_REVISION = "1"
"""To be raised with every change of this package that changes a manifest: it is in the key of every probe."""
