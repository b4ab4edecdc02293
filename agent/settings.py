"""The agent's settings: environment variables named GAMEKEEPER_*, read once. Pure.

Each variable stands once in the table `_VARIABLES` with its meaning; unknown names are an error, so
that a typing mistake cannot silently keep a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.address import BaseUrl, family_of, is_loopback, parse_base_url
from shared.environment import is_service_link
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PREFIX = "GAMEKEEPER_"

# The marker of a container that a template may put into every container of the pod (see
# exec/resolve.py).
_IGNORED = frozenset({"GAMEKEEPER_CONTAINER"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent is told by its environment.

    Attributes:
        report_urls: base URLs of the aggregator, tried in turn; https, or http on loopback only.
        token_file: the projected service-account token; read for every report, because it rotates.
        ca_file: CA bundle (PEM) that the aggregator's certificate must chain to; empty for http
            only.
        pod_uid, pod_name, pod_namespace: of this pod, by the downward API.
        pod_ip: address of the status server and, without a host of their own, of probes; empty:
            loopback.
        status_port: TCP port of the status server, 0 for none.
        max_concurrent_probes: 1 to 64.
        log_level: DEBUG, INFO, WARNING or ERROR.
    """

    report_urls: tuple[BaseUrl, ...]
    token_file: str
    pod_uid: str
    ca_file: str = ""
    pod_name: str = ""
    pod_namespace: str = ""
    pod_ip: str = ""
    status_port: int = 8089
    max_concurrent_probes: int = 4
    log_level: str = "INFO"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment gives.

    Raises:
        InvalidInput: naming the variable; the program ends with exit code 2 and that line.
    """
    given = {
        name: value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and name not in _IGNORED and not is_service_link(name, value)
    }
    for name in sorted(given):
        if name not in _VARIABLES:
            raise InvalidInput(
                name, f"is no setting of the agent; there are {', '.join(_VARIABLES)}"
            )
    values: dict[str, Any] = {}
    for name, (attribute, read) in _VARIABLES.items():
        if name in given:
            values[attribute] = read(name, given[name].strip())
        elif name in _REQUIRED:
            raise InvalidInput(name, "is required")
    settings = Settings(**values)
    if not settings.ca_file and any(url.tls for url in settings.report_urls):
        raise InvalidInput("GAMEKEEPER_CA_FILE", "is required with an https report URL")
    return settings


def _text(name: str, value: str) -> str:
    if not value:
        raise InvalidInput(name, "must not be empty")
    return value


def _optional_text(_name: str, value: str) -> str:
    return value


def _integer(least: int, most: int) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        if not value.isdecimal() or not least <= int(value) <= most:
            raise InvalidInput(
                name, f"must be a whole number from {least} to {most}, not {value!r}"
            )
        return int(value)

    return read


def _address(name: str, value: str) -> str:
    if value and family_of(value) is None:
        raise InvalidInput(name, f"must be an IP address, not {value!r}")
    return value


def _log_level(name: str, value: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if value.upper() not in levels:
        raise InvalidInput(name, f"must be one of {', '.join(levels)}, not {value!r}")
    return value.upper()


def _urls(name: str, value: str) -> tuple[BaseUrl, ...]:
    urls = tuple(_url(name, item.strip()) for item in value.split(",") if item.strip())
    if not urls:
        raise InvalidInput(name, "must name at least one base URL, for example https://HOST:PORT")
    return urls


def _url(name: str, text: str) -> BaseUrl:
    url = parse_base_url(text)
    if url is None:
        raise InvalidInput(name, f"{text!r} must look like https://HOST:PORT")
    if not url.tls and not is_loopback(url.host):
        raise InvalidInput(name, f"{text!r} would show the token to the network: use https")
    return url


_VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "GAMEKEEPER_REPORT_URLS": ("report_urls", _urls),
    "GAMEKEEPER_TOKEN_FILE": ("token_file", _text),
    "GAMEKEEPER_CA_FILE": ("ca_file", _optional_text),
    "GAMEKEEPER_POD_UID": ("pod_uid", _text),
    "GAMEKEEPER_POD_NAME": ("pod_name", _optional_text),
    "GAMEKEEPER_POD_NAMESPACE": ("pod_namespace", _optional_text),
    "GAMEKEEPER_POD_IP": ("pod_ip", _address),
    "GAMEKEEPER_STATUS_PORT": ("status_port", _integer(0, 65_535)),
    "GAMEKEEPER_MAX_CONCURRENT_PROBES": ("max_concurrent_probes", _integer(1, 64)),
    "GAMEKEEPER_LOG_LEVEL": ("log_level", _log_level),
}
_REQUIRED = ("GAMEKEEPER_REPORT_URLS", "GAMEKEEPER_TOKEN_FILE", "GAMEKEEPER_POD_UID")
