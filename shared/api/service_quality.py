"""A service quality: a probe and the actions that its verdict asks for (SPEC 4). Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from shared.api.gameserver import GameServerContainer
from shared.api.meta import DNS_LABEL_PATTERN, ApiModel, StringMap
from shared.api.probe import Probe

_MAX_TEMPLATE = 1024

_TemplatedPriority = Annotated[
    int | str, WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": _MAX_TEMPLATE})
]


class ServiceQualityAction(ApiModel):
    """What to write to the GameServer when the verdict matches. Absent fields are left alone."""

    state: bool
    """Verdict that this action is for."""
    result: Annotated[str, Field(max_length=1024)] = ""
    """Result that this action is for; empty matches any."""
    ops_state: Annotated[str | None, Field(max_length=_MAX_TEMPLATE)] = None
    """opsState to set; a template such as "{{.Result}}" may say it."""
    update_priority: _TemplatedPriority | None = None
    """updatePriority to set: an integer, or a template such as "{{.Result}}"."""
    deletion_priority: _TemplatedPriority | None = None
    """deletionPriority to set: an integer, or a template such as "{{.Result}}"."""
    network_disabled: bool | None = None
    """networkDisabled to set."""
    containers: Annotated[tuple[GameServerContainer, ...], Field(max_length=32)] = ()
    """Images and resources to set for this server's containers."""
    labels: StringMap = Field(default_factory=dict)
    """Labels to set; values may be templates."""
    annotations: StringMap = Field(default_factory=dict)
    """Annotations to set; values may be templates."""


class ServiceQuality(Probe):
    """A probe with a name, and its actions."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL_PATTERN)]
    """Name of the quality; unique in the set."""
    container_name: Annotated[str | None, Field(max_length=63)] = None
    """Container to probe; may be left out when the template has one container."""
    permanent: bool = False
    """Act at most once in the life of a pod."""
    service_quality_action: Annotated[tuple[ServiceQualityAction, ...], Field(max_length=64)] = ()
    """Actions; all that match apply in order, later ones override earlier ones field by field."""
