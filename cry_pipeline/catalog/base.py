"""What every entry of the catalog is.

Belongs here: the frozen base of all specs, and the names and kinds they share. Does not: any entry's own fields
(specs.py, models.py, networks.py).
"""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_jsonable_python

from cry_pipeline.digests import digest

FeatureKind = Literal["spectrogram", "mel", "mfcc", "statistics"]
FEATURE_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)
ProbeName = Literal["platform", "metadata", "loudness", "all metadata"]
ClassWeight = Literal["balanced", "none"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=120)]
"""It becomes the name of files, to which some systems give 255 bytes."""
Seed = Annotated[int, Field(ge=0, lt=2**31)]
"""What the generators of NumPy, scikit-learn and torch all take, with room for what is added to it."""
NEUTRAL = "neutral"


def neutral(value: Any) -> Any:
    """Return what marks a field, in ``Field(default=…, json_schema_extra=neutral(…))``, as added later.

    While it has this value the entry means what it meant before the field was there, and its digest stays what it was.
    A new field that is not marked changes all digests, and everything is computed anew. The value is written apart from
    the default: if that is changed one day, digests change with it.
    """
    return {NEUTRAL: value}


class Spec(BaseModel):
    """A frozen catalog entry; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    uncounted: ClassVar[frozenset[str]] = frozenset({"description"})
    """Fields that decide no result and enter no digest."""

    description: str = ""

    @property
    def parts(self) -> dict[str, Any]:
        """What of the entry decides results, as JSON types: what enters digests.

        At every depth without what is ``uncounted``, and without fields that have their :func:`neutral` value.
        """
        return {
            name: _parts(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if name not in self.uncounted and not _is_neutral(getattr(self, name), field.json_schema_extra)
        }

    @property
    def digest(self) -> str:
        """sha256 of the ``parts``."""
        return digest(spec=self.parts)


class BaseModelSpec(Spec):
    """What a model reads: features of the kinds ``inputs``, and columns ``metadata`` of the manifest."""

    is_network: ClassVar[bool] = False
    uncounted: ClassVar[frozenset[str]] = Spec.uncounted | {"probe"}

    probe: ProbeName | None = Field(
        default=None,
        description="the shortcut that the model is: what goes with a label without being in the sound. Runs on the "
        "same folds are held against it",
    )

    @model_validator(mode="after")
    def _hears_nothing(self) -> Self:
        if self.probe and self.inputs:
            raise ValueError(f"probe: a probe of {self.probe} hears nothing; {self.kind_name} reads features")
        return self

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


def _parts(value: Any) -> Any:
    match value:
        case Spec():
            return value.parts
        case tuple() | list():
            return [_parts(part) for part in value]
        case dict():
            return {str(key): _parts(part) for key, part in value.items()}
        case _:
            return to_jsonable_python(value)


def _is_neutral(value: Any, declared: Any) -> bool:
    if not isinstance(declared, dict) or NEUTRAL not in declared:
        return False
    neutral_value = declared[NEUTRAL]
    return type(neutral_value) is type(value) and neutral_value == value
