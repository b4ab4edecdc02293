"""Metadata that all our kinds share, and the base of every API model. Pure.

Models describe what the API server has already validated: reading is lenient about fields it does
not know, and the bounds that users meet stand in the CRD schema that is made from these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shared.protocol.wire import camel

INT32_MAX = 2_147_483_647
INT32_MIN = -2_147_483_648

LABEL_VALUE_PATTERN = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Int32 = Annotated[int, Field(ge=0, le=INT32_MAX, json_schema_extra={"format": "int32"})]
"""A count: 0 to 2147483647."""

IntOrPercent = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "minimum": 0, "pattern": "^[0-9]{1,9}%?$"}),
]
"""An absolute number or a percentage such as "25%"."""

Priority = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": INT32_MIN,
            "maximum": INT32_MAX,
            "maxLength": 11,
            "pattern": "^-?[0-9]{1,10}$",
        }
    ),
]
"""A whole number of 32 bits, or the same as a string."""

FreeObject = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""An object of another API, kept as it is."""

StringMap = dict[str, str]


class ApiModel(BaseModel):
    """Base of every API model: camelCase on the wire, immutable, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


class OwnerReference(ApiModel):
    """Who owns an object."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiModel):
    """The part of metadata that Gamekeeper reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Condition(ApiModel):
    """A condition as in metav1."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None
