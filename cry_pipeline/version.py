"""The one place that holds the version: the package, every artefact and the build take it from here."""

__version__ = "0.1.0"
