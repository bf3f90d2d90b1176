"""What is compared: cohorts, protocols, feature sets, models and experiments, with their digests."""

from cry_pipeline.catalog.digests import canonical_json, digest
from cry_pipeline.catalog.loading import CatalogError, load_catalog
from cry_pipeline.catalog.specs import (
    Catalog,
    ChampionSpec,
    CohortSpec,
    ExperimentSpec,
    FeatureSetSpec,
    LfebAttentionLstmSpec,
    LogisticRegressionSpec,
    MajoritySpec,
    ModelSpec,
    ProtocolSpec,
)

__all__ = [
    "Catalog",
    "CatalogError",
    "ChampionSpec",
    "CohortSpec",
    "ExperimentSpec",
    "FeatureSetSpec",
    "LfebAttentionLstmSpec",
    "LogisticRegressionSpec",
    "MajoritySpec",
    "ModelSpec",
    "ProtocolSpec",
    "canonical_json",
    "digest",
    "load_catalog",
]
