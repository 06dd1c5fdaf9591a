"""What every form of the policy language is made of, and how a form is looked at; imported by the other forms.

A docstring under a field is its description in the reference page. Fields marked LATER are refused by surveying.
"""

import dataclasses
import functools
import typing
from typing import Annotated, Literal

import pydantic
from pydantic import alias_generators, fields

from lastack.policy import scalars, vocabulary


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """Marks a field, or a whole form, that the language has and this version does not support."""


LATER = Later()

ANYTHING = "anything"
"""What is expected of a field whose values this version does not look at."""

Read = pydantic.PlainValidator


def alias(name: str) -> str:
    """The name in YAML of a field."""
    return alias_generators.to_camel(name.rstrip("_"))


class Form(pydantic.BaseModel):
    """One mapping of a policy document; its fields are camelCase in YAML."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, alias_generator=alias, use_attribute_docstrings=True
    )


Diagnoses = Annotated[
    list[Annotated[vocabulary.DiagnosisCode, Read(scalars.choice(vocabulary.DiagnosisCode))]],
    pydantic.Field(min_length=1),
]

Causes = Annotated[
    list[Annotated[vocabulary.CauseKind, Read(scalars.choice(vocabulary.CauseKind))]],
    pydantic.Field(min_length=1),
]

ModeWord = Annotated[vocabulary.Mode, Read(scalars.choice(vocabulary.Mode, later=("propose",)))]


@dataclasses.dataclass(frozen=True, slots=True)
class FieldShape:
    """One field as surveying and the reference page see it.

    `forms` are the mappings that it may hold, by the `action` that chooses among them, "" where nothing chooses.
    """

    name: str
    expected: str
    forms: dict[str, type[Form]]
    many: bool
    later: bool
    required: bool
    default: object
    description: str


@functools.cache
def shapes(form: type[Form]) -> dict[str, FieldShape]:
    """The fields of a form by their names in YAML."""
    return {str(info.alias): _shape(str(info.alias), info) for info in form.model_fields.values()}


def _shape(name: str, info: fields.FieldInfo) -> FieldShape:
    parts = list(_parts(info.annotation))
    forms = [part for part in parts if isinstance(part, type) and issubclass(part, Form)]
    readers = [part.func for part in [*info.metadata, *parts] if isinstance(part, pydantic.PlainValidator)]
    words = [reader.expected for reader in readers if isinstance(reader, scalars.Reader)]
    many = list in parts
    return FieldShape(
        name=name,
        expected=("a list: " if many else "")
        + (words[0] if words else _mapping(forms[0]) if forms else ANYTHING),
        forms={"": forms[0]} if len(forms) == 1 else {word: form for form in forms for word in _words(form)},
        many=many,
        later=any(isinstance(part, Later) for part in info.metadata),
        required=info.is_required(),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        description=info.description or "",
    )


def _mapping(form: type[Form]) -> str:
    required = [str(info.alias) for info in form.model_fields.values() if info.is_required()]
    return f"a mapping with {', '.join(required)}" if required else "a mapping"


def _words(form: type[Form]) -> tuple[str, ...]:
    return typing.get_args(form.model_fields["action"].annotation)


def _parts(annotation: object) -> typing.Iterator[object]:
    """Every type and mark inside of an annotation, outermost first."""
    origin = typing.get_origin(annotation)
    yield origin or annotation
    if origin is not None and origin is not Literal:
        for part in typing.get_args(annotation):
            yield from _parts(part)
