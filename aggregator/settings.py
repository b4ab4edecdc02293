"""Settings of the aggregator: one frozen model, read from the environment once.

The environment name of a field is GAMEKEEPER_ and the field in capitals. An unknown GAMEKEEPER_
name is an error, so that a misspelt one is found at the start; an empty value means the default.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from shared.environment import is_service_link
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "GAMEKEEPER_"
# Every cluster has it, and no game lives there.
_SYSTEM_NAMESPACE = "kube-system"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Port = Annotated[int, Field(ge=0, le=65_535)]


class Settings(BaseModel):
    """What can be set. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: str = Field(
        default="", description="path of a kubeconfig file; empty for the pod's service account"
    )
    namespace: str = Field(
        default="", max_length=63, description="the only namespace to serve; empty for all"
    )
    report_address: str = Field(default="0.0.0.0", description="IP address to take reports on")  # noqa: S104 - agents come from other nodes
    report_port: Port = Field(default=8443, description="port to take reports on; 0 for any free")
    report_tls_certificate_file: str = Field(
        default="", description="PEM certificate chain; empty only on a loopback address"
    )
    report_tls_key_file: str = Field(default="", description="PEM key of that certificate")
    report_ca_file: str = Field(
        default="", description="PEM bundle handed to agents, which trust nothing else"
    )
    report_urls: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        min_length=1,
        max_length=8,
        description="comma-separated base URLs that agents report to, in the order they try them",
    )
    health_address: str = Field(default="0.0.0.0", description="IP address of the health port")  # noqa: S104 - the kubelet asks from outside the pod
    health_port: Port = Field(default=8080, description="port of /healthz, /readyz; 0 for any free")
    status_address: str = Field(
        default="127.0.0.1", description="IP address of the status API; loopback unless it has TLS"
    )
    status_port: Port = Field(default=8081, description="port of the status API; 0 for any free")
    status_authentication: Literal["token", "off"] = Field(
        default="token",
        description="token asks the API server about every reader; off only on a loopback address",
    )
    agent_image: str = Field(
        min_length=1, max_length=1024, description="image of the agent in game pods"
    )
    agent_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="when kubelets pull that image"
    )
    heartbeat_seconds: float = Field(
        default=10.0, ge=1, le=300, description="how often an agent reports when nothing changes"
    )
    pod_name: str = Field(
        default="", max_length=253, description="pod of this process; empty outside of a cluster"
    )
    pod_namespace: str = Field(
        default="", max_length=63, description="namespace of that pod; its lease lives there"
    )
    lease_name: str = Field(
        default="gamekeeper-aggregator",
        min_length=1,
        max_length=253,
        description="lease that decides who leads; one for all that serve the same sets",
    )
    lease_seconds: int = Field(
        default=15, ge=1, le=300, description="after how long a leader that fell silent is replaced"
    )
    workers: int = Field(
        default=4, ge=1, le=64, description="objects that each controller reconciles at a time"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level of the lines that are logged"
    )

    @property
    def lease_namespace(self) -> str:
        """Where the lease lives: beside the pod, else with what is served."""
        return self.pod_namespace or self.namespace or _SYSTEM_NAMESPACE

    @field_validator("report_urls")
    @classmethod
    def _urls_have_a_scheme(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"{url!r} must begin with https:// or http://")
        return urls

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if bool(self.report_tls_certificate_file) != bool(self.report_tls_key_file):
            raise ValueError("report_tls_certificate_file and report_tls_key_file go together")
        if bool(self.pod_name) != bool(self.pod_namespace):
            raise ValueError("pod_name and pod_namespace go together")
        if not self.report_tls_certificate_file and not _is_loopback(self.report_address):
            raise ValueError(
                "report_tls_certificate_file must be set unless report_address is a loopback one"
            )
        if not _is_loopback(self.status_address):
            if self.status_authentication == "off":
                raise ValueError("status_authentication can be off only on a loopback address")
            if not self.report_tls_certificate_file:
                remedy = "must be set unless status_address is a loopback one"
                raise ValueError(f"report_tls_certificate_file {remedy}")
        return self


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`.

    Raises:
        InvalidInput: naming the variable and what would be right; the first fault only.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value and not is_service_link(name, value)
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise InvalidInput(
            PREFIX + field.upper() if field else "settings",
            _message(first["type"], first["msg"], field),
        ) from error


def _message(kind: str, message: str, field: str) -> str:
    if kind == "extra_forbidden":
        known = ", ".join(PREFIX + name.upper() for name in Settings.model_fields)
        return f"there is no such setting; known are {known}"
    if kind == "missing":
        return f"must be set: {Settings.model_fields[field].description}"
    text = message.removeprefix("Value error, ")
    return f"{text} ({Settings.model_fields[field].description})" if field else text
