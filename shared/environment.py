"""Which environment variables are settings of ours. Pure, standard library only."""

from __future__ import annotations

import re

# Kubernetes adds variables for every Service of the namespace, in Docker's link format. A Service
# named `gamekeeper-reports` yields GAMEKEEPER_REPORTS_PORT_443_TCP_ADDR and the like; they are not
# ours. Source: kubernetes.io/docs/tutorials/services/connect-applications-service (environment
# variables).
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_SERVICE_LINK_VALUE = re.compile(r"^(tcp|udp|sctp)://")


def is_service_link(name: str, value: str) -> bool:
    """Tell whether Kubernetes made a variable, for a Service that is named like our settings."""
    return bool(_SERVICE_LINK.search(name) or _SERVICE_LINK_VALUE.match(value))
