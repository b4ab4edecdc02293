"""How much the agent may do in a pod: the least with which its exec probes can work. Pure.

Theory (kernel, ptrace_may_access with PTRACE_MODE_READ_FSCREDS): to enter the view of a process the
agent needs the file-system user of that process, which takes SETUID and SETGID, and capabilities
that contain the permitted ones of that process. A process of a user other than root has none, so
little is enough for it; one of root under a container runtime has the runtime's default set.

| profile | for | user | capabilities |
| --- | --- | --- | --- |
| none | no exec probe | 65532 | none; Pod Security level restricted |
| minimal | targets that are known not to be root | 0 | SYS_CHROOT SETUID SETGID SETPCAP KILL |
| default | all other targets | 0 | the runtime's default set |
| ptrace | asked for by hand: privileged or non-dumpable targets | 0 | that, and SYS_PTRACE |

Every profile: no new privileges, a read-only root file system, the runtime's seccomp filter.
Source: man 2 ptrace (access mode checking), man 7 capabilities, and
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from shared.api import names
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

SecurityProfile = Literal["none", "minimal", "default", "ptrace"]
ProfileChoice = Literal["auto", "none", "minimal", "default", "ptrace"]
# The user of images without a user of their own, as in distroless images.
NOBODY = 65_532
_MINIMAL_CAPABILITIES = ("SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "KILL")


def choose_profile(
    owner: GameServerSet, wanted: ProfileChoice, spec: dict[str, Any]
) -> SecurityProfile:
    """Return the profile of the agent of a pod.

    Args:
        owner: its annotation decides, if there is one.
        wanted: what the installation says otherwise.
        spec: of the pod, as it is so far.

    Raises:
        InvalidInput: the annotation names no profile.
    """
    asked = owner.metadata.annotations.get(names.AGENT_PROFILE_ANNOTATION, wanted)
    if asked == "auto":
        return _least_profile(owner, spec)
    for profile in get_args(SecurityProfile):
        if profile == asked:
            return profile  # type: ignore[no-any-return]
    path = f"metadata.annotations[{names.AGENT_PROFILE_ANNOTATION}]"
    known = ", ".join(get_args(ProfileChoice))
    raise InvalidInput(path, f"{asked!r} is no security profile; known are {known}")


def _least_profile(owner: GameServerSet, spec: dict[str, Any]) -> SecurityProfile:
    """Return the least profile with which the exec probes of a set can work."""
    targets = _targets(owner, spec)
    # NB: with hostPID the agent would see the processes of the whole node. No exec probe runs
    # there, and none without a shared PID namespace, so rights would only be a danger.
    if not targets or spec.get("hostPID") or spec.get("shareProcessNamespace") is False:
        return "none"
    pod = _context(spec)
    known = all(_is_known_not_root(_context(each), pod) for each in targets)
    return "minimal" if known else "default"


def security_context(profile: SecurityProfile) -> dict[str, Any]:
    """Return the container's securityContext. What the pod says for all is overridden."""
    context: dict[str, Any] = {
        "runAsUser": 0,
        # The group as well: a runAsGroup of the pod would hold for the agent otherwise.
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    match profile:
        case "none":
            user = {"runAsUser": NOBODY, "runAsGroup": NOBODY, "runAsNonRoot": True}
            context |= user | {"capabilities": {"drop": ["ALL"]}}
        case "minimal":
            context["capabilities"] = {"drop": ["ALL"], "add": list(_MINIMAL_CAPABILITIES)}
        case "ptrace":
            context["capabilities"] = {"add": ["SYS_PTRACE"]}
        case "default":
            pass
    return context


def _targets(owner: GameServerSet, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers that exec probes run in; all, when one does not say in which."""
    containers: list[dict[str, Any]] = spec.get("containers") or []
    probed = {each.container_name for each in owner.spec.service_qualities if each.exec is not None}
    if None in probed:
        return containers
    return [each for each in containers if each.get("name") in probed]


def _context(holder: dict[str, Any]) -> dict[str, Any]:
    """Return the securityContext of a container or pod spec, which nobody has looked at yet."""
    context = holder.get("securityContext")
    return context if isinstance(context, dict) else {}


def _is_known_not_root(container: dict[str, Any], pod: dict[str, Any]) -> bool:
    """Tell whether a container's user cannot be root, whatever its image says."""
    user = _first(container.get("runAsUser"), pod.get("runAsUser"))
    if user is not None:
        return bool(user != 0)
    return _first(container.get("runAsNonRoot"), pod.get("runAsNonRoot")) is True


def _first(own: Any, inherited: Any) -> Any:
    return inherited if own is None else own
