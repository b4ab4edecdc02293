"""Settings of the aggregator: one frozen model, read from the environment once.

The environment name of a field is GAMEKEEPER_ and the field in capitals. An unknown GAMEKEEPER_
name is an error, so that a misspelt one is found at the start; an empty value means the default.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from aggregator.gameserverset.security_profile import ProfileChoice
from shared.environment import is_service_link
from shared.errors import InvalidInput
from shared.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "GAMEKEEPER_"
# Every cluster has it, and no game lives there.
_SYSTEM_NAMESPACE = "kube-system"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _positive_quantity(text: str) -> str:
    if parse_quantity(text) <= 0:
        raise ValueError(f"{text!r} must be more than 0")
    return text


Port = Annotated[int, Field(ge=0, le=65_535)]
Quantity = Annotated[str, Field(max_length=32), AfterValidator(_positive_quantity)]


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
    report_tls_secret: str = Field(
        default="",
        max_length=253,
        description="Secret in pod_namespace whose certificate is made and rotated here; "
        "instead of files",
    )
    report_service: str = Field(
        default="",
        max_length=63,
        description="Service in pod_namespace through which agents report; instead of report_urls",
    )
    report_urls: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        default=(),
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
    keda_port: Port | None = Field(
        default=None, description="port of KEDA's external scaler, usually 6000; empty for none"
    )
    keda_address: str = Field(default="0.0.0.0", description="IP address of that port")  # noqa: S104 - KEDA asks from its own pod
    keda_tls_certificate_file: str = Field(
        default="", description="PEM certificate chain of that port; empty for plain text"
    )
    keda_tls_key_file: str = Field(default="", description="PEM key of that certificate")
    keda_tls_client_ca_file: str = Field(
        default="", description="PEM bundle; only clients with a certificate of it are served"
    )
    status_service: str = Field(
        default="",
        max_length=63,
        description="Service in pod_namespace of the status API; the certificate is for it, too",
    )
    agent_image: str = Field(
        min_length=1, max_length=1024, description="image of the agent in game pods"
    )
    agent_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="when kubelets pull that image"
    )
    agent_placement: Literal["auto", "native", "container"] = Field(
        default="auto",
        description="native sidecar or plain container; auto is native where every node is at "
        "least 1.29",
    )
    agent_security_profile: ProfileChoice = Field(
        default="auto", description="of sets that do not ask for one; auto is the least that works"
    )
    agent_status_port: Port = Field(
        default=8089, description="port of the agent's own status and metrics; 0 for none"
    )
    agent_host_network_status_port: Port = Field(
        default=0, description="the same in pods on the host's network"
    )
    agent_cpu_request: Quantity = Field(default="10m", description="CPU that each agent requests")
    agent_cpu_limit: Quantity | Literal[""] = Field(
        default="", description="CPU limit of each agent; empty for none"
    )
    agent_guaranteed_cpu: Quantity = Field(
        default="100m", description="CPU request and limit of agents in Guaranteed pods"
    )
    agent_memory_request: Quantity = Field(
        default="32Mi", description="memory that each agent requests"
    )
    agent_memory_limit: Quantity = Field(
        default="128Mi", description="memory limit of each agent and the probes it runs"
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
    network_isolation: bool = Field(
        default=True,
        description="give each set a NetworkPolicy that cuts off servers with networkDisabled",
    )
    allocated_disruption_budget: bool = Field(
        default=False,
        description="give each set a PodDisruptionBudget that keeps drains from Allocated servers",
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

    @property
    def has_certificate(self) -> bool:
        """Whether there is a certificate; without one everything is on loopback."""
        return bool(self.report_tls_certificate_file or self.report_tls_secret)

    @field_validator("report_urls")
    @classmethod
    def _urls_have_a_scheme(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"{url!r} must begin with https:// or http://")
        return urls

    @model_validator(mode="after")
    def _reports_can_be_taken(self) -> Self:
        if bool(self.report_tls_certificate_file) != bool(self.report_tls_key_file):
            raise ValueError("report_tls_certificate_file and report_tls_key_file go together")
        if self.report_tls_certificate_file and self.report_tls_secret:
            raise ValueError("report_tls_secret and report_tls_certificate_file exclude each other")
        for name in ("report", "status"):
            address = getattr(self, f"{name}_address")
            if not self.has_certificate and not _is_loopback(address):
                files = "report_tls_secret or report_tls_certificate_file"
                raise ValueError(f"{files} must be set unless {name}_address is a loopback one")
        return self

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if bool(self.pod_name) != bool(self.pod_namespace):
            raise ValueError("pod_name and pod_namespace go together")
        if not self.pod_namespace and (self.report_service or self.report_tls_secret):
            raise ValueError("report_service and report_tls_secret are looked for in pod_namespace")
        if bool(self.report_urls) == bool(self.report_service):
            raise ValueError("one of report_urls and report_service must be set")
        if self.status_authentication == "off" and not _is_loopback(self.status_address):
            raise ValueError("status_authentication can be off only on a loopback address")
        if bool(self.keda_tls_certificate_file) != bool(self.keda_tls_key_file):
            raise ValueError("keda_tls_certificate_file and keda_tls_key_file go together")
        if self.keda_tls_client_ca_file and not self.keda_tls_certificate_file:
            raise ValueError("keda_tls_client_ca_file needs keda_tls_certificate_file")
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
