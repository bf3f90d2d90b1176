"""What every entry of the catalog is.

Belongs here: the frozen base of all specs, and the names and kinds they share. Does not: any entry's own fields
(specs.py, models.py, networks.py).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from cry_pipeline.catalog.digests import digest

FeatureKind = Literal["spectrogram", "mel", "mfcc", "statistics"]
ClassWeight = Literal["balanced", "none"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Spec(BaseModel):
    """A frozen catalog entry; an unknown key is an error. ``description`` never enters a digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""

    @property
    def digest(self) -> str:
        """sha256 of everything in the entry but its description."""
        return digest(spec=self.model_dump(mode="json", exclude={"description"}))


class BaseModelSpec(Spec):
    """What a model reads: features of the kinds ``inputs``, and columns ``metadata`` of the manifest."""

    is_network: ClassVar[bool] = False

    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """Feature kinds to be read for the model."""
        return ()

    @property
    def metadata(self) -> tuple[str, ...]:
        """Columns of the manifest to be read for the model."""
        return ()

    @property
    def exportable(self) -> bool:
        """Whether a champion can be made of it: see inference/scorers.py."""
        return self.is_network

    @property
    def kind_name(self) -> str:
        """The ``kind``, of whatever class the spec is."""
        return str(self.model_dump(include={"kind"})["kind"])
