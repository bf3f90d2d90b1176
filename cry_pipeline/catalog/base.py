"""What every entry of the catalog is.

Belongs here: the frozen base of all specs, and the names and kinds they share. Does not: any entry's own fields
(specs.py, models.py).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cry_pipeline.catalog.digests import digest

FeatureKind = Literal["spectrogram", "mel", "mfcc", "statistics"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Spec(BaseModel):
    """A frozen catalog entry; an unknown key is an error. ``description`` never enters a digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""

    @property
    def digest(self) -> str:
        """sha256 of everything in the entry but its description."""
        return digest(spec=self.model_dump(mode="json", exclude={"description"}))
