"""Who a container's processes are: securityContext -> Credentials. Pure.

Source: capabilities(7), and the default set of the container runtimes (containerd, oci/spec.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.kubelet.fields import ConfigurationError, Json
from localcluster.kubelet.messages import Credentials

if TYPE_CHECKING:
    from localcluster.kubelet.identities import Identities

# By number, as in linux/capability.h.
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
_RUNTIME_DEFAULT = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
]


def resolve_credentials(pod_spec: Json, container: Json, identities: Identities) -> Credentials:
    """Return who the container runs as; the container's securityContext beats the pod's.

    Raises:
        ConfigurationError: an id that does not exist in the pods of this kubelet, an unknown
            capability, or runAsNonRoot with user 0.
    """
    shared = pod_spec.get("securityContext") or {}
    own = container.get("securityContext") or {}
    merged = {**shared, **own}
    uid = merged.get("runAsUser", 0)
    gid = merged.get("runAsGroup", 0)
    groups = tuple(sorted({*shared.get("supplementalGroups", []), *_fs_group(shared)}))
    if merged.get("runAsNonRoot") and uid == 0:
        raise ConfigurationError(
            "container has runAsNonRoot and image will run as root; set securityContext.runAsUser"
        )
    _check_ids(uid, gid, groups, identities)
    return Credentials(
        uid=uid,
        gid=gid,
        groups=groups,
        capabilities=_capabilities(own),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
    )


def _fs_group(shared: Json) -> list[int]:
    return [shared["fsGroup"]] if "fsGroup" in shared else []


def _check_ids(uid: int, gid: int, groups: tuple[int, ...], identities: Identities) -> None:
    remedy = "start the local cluster as root, or leave it out"
    if not identities.has_uid(uid):
        raise ConfigurationError(f"runAsUser {uid} does not exist in this sandbox; {remedy}")
    for group in (gid, *groups):
        if not identities.has_gid(group):
            raise ConfigurationError(f"group {group} does not exist in this sandbox; {remedy}")
    if groups and not identities.setgroups:
        raise ConfigurationError(f"supplementalGroups cannot be set in this sandbox; {remedy}")


def _capabilities(own: Json) -> tuple[int, ...]:
    if own.get("privileged"):
        return tuple(range(len(CAPABILITIES)))
    change = own.get("capabilities") or {}
    dropped = {_plain(name) for name in change.get("drop") or []}
    added = {_plain(name) for name in change.get("add") or []}
    names = set() if "ALL" in dropped else set(_RUNTIME_DEFAULT) - dropped
    names |= set(CAPABILITIES) if "ALL" in added else added
    unknown = names - set(CAPABILITIES)
    if unknown:
        raise ConfigurationError(f"unknown capability {', '.join(sorted(unknown))}")
    return tuple(number for number, name in enumerate(CAPABILITIES) if name in names)


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")
