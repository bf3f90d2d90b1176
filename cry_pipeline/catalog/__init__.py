"""What is compared: cohorts, protocols, feature sets, models and experiments, with their digests."""

from cry_pipeline.catalog.donations import DonationsSpec, TriageSpec
from cry_pipeline.catalog.loading import CatalogError, load_catalog
from cry_pipeline.catalog.models import (
    EnsembleSpec,
    GradientBoostingSpec,
    LogisticRegressionSpec,
    MajoritySpec,
    MetadataSpec,
    ModelSpec,
    RandomForestSpec,
    SvmSpec,
)
from cry_pipeline.catalog.networks import AugmentationSpec, LfebAttentionLstmSpec, NetworkSpec, ResNet50AttentionSpec
from cry_pipeline.catalog.specs import Catalog, ChampionSpec, CohortSpec, ExperimentSpec, FeatureSetSpec, ProtocolSpec
from cry_pipeline.digests import canonical_json, digest

__all__ = [
    "AugmentationSpec",
    "Catalog",
    "CatalogError",
    "ChampionSpec",
    "CohortSpec",
    "DonationsSpec",
    "EnsembleSpec",
    "ExperimentSpec",
    "FeatureSetSpec",
    "GradientBoostingSpec",
    "LfebAttentionLstmSpec",
    "LogisticRegressionSpec",
    "MajoritySpec",
    "MetadataSpec",
    "ModelSpec",
    "NetworkSpec",
    "ProtocolSpec",
    "RandomForestSpec",
    "ResNet50AttentionSpec",
    "SvmSpec",
    "TriageSpec",
    "canonical_json",
    "digest",
    "load_catalog",
]
