"""The feature store: immutable, checksummed parts, snapshots of them, compaction, garbage, storages.

Belongs here: how features are kept and read, and never silently wrong. Does not: how they are computed (features).
"""
