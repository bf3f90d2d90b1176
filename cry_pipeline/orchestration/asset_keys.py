"""Keys of the assets that more than one file names.

Belongs here: the keys. Does not: the assets (assets/), which import them from here as checks and sensors do.
"""

import dagster as dg

INVENTORY = dg.AssetKey(["raw", "inventory"])
RECORDINGS = dg.AssetKey(["manifests", "recordings"])
QUARANTINE = dg.AssetKey(["manifests", "quarantine"])
CHAMPION = dg.AssetKey(["models", "champion"])
