"""Where the agent does not fit, and how much its profiles may."""

import pytest

from aggregator.gameserverset.security_profile import security_context
from shared.errors import InvalidInput
from tests.support.agent_cells import Cell, container, profile, rendered

# What the level adds to nothing, and may be added to a container; from the standards' page.
BASELINE = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}


@pytest.mark.parametrize(
    ("profile", "level"),
    [
        ("none", "restricted"),
        ("minimal", "baseline"),
        ("default", "baseline"),
        ("ptrace", "privileged"),
    ],
)
def test_a_profile_fits_its_pod_security_level(profile, level):
    context = security_context(profile)
    capabilities = context.get("capabilities", {})
    restricted = (
        capabilities.get("drop") == ["ALL"]
        and set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"}
        and context["runAsNonRoot"]
        and context["runAsUser"] != 0
        and not context["allowPrivilegeEscalation"]
        and context["seccompProfile"]["type"] == "RuntimeDefault"
    )
    baseline = set(capabilities.get("add", ())) <= BASELINE
    assert {"restricted": restricted, "baseline": not restricted and baseline}.get(
        level, not baseline
    )


PATH = "spec.gameServerTemplate.spec"
TAKEN = "is the name of the agent that is added; rename it, or set the annotation"


@pytest.mark.parametrize(
    ("cell", "path", "message"),
    [
        pytest.param(
            Cell({"containers": [container(), container("gamekeeper-agent")]}),
            f"{PATH}.containers[1].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="a container",
        ),
        pytest.param(
            Cell({"initContainers": [container("gamekeeper-agent")]}),
            f"{PATH}.initContainers[0].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="an init container",
        ),
        pytest.param(
            Cell({"volumes": [{"name": "gamekeeper-agent", "emptyDir": {}}]}),
            f"{PATH}.volumes[0].name",
            f"'gamekeeper-agent' {TAKEN} gamekeeper.dev/agent: never",
            id="a volume",
        ),
        pytest.param(
            Cell(annotations=profile("root")),
            "metadata.annotations[gamekeeper.dev/agent-security-profile]",
            "'root' is no security profile; known are auto, none, minimal, default, ptrace",
            id="a profile",
        ),
    ],
)
def test_a_template_without_room_is_refused_with_the_field_and_the_remedy(cell, path, message):
    with pytest.raises(InvalidInput) as refused:
        rendered(cell)
    assert (refused.value.field, refused.value.message) == (path, f"{path}: {message}")
