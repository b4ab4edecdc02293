"""Gamekeeper's own definitions: good and bad objects, judged by the API server alone.

The rules are in the CRDs of the chart; whoever edits one there sees here what it lets through.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, rows
from tests.conformance.client import make

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

SEEDS = sorted((Path(__file__).parents[1] / "data" / "seeds").glob("*.yaml"))
MAIN = {"name": "main", "image": "game"}
SIDE = {"name": "side", "image": "side"}
EXEC = {"exec": {"command": ["true"]}}


@dataclass(frozen=True)
class Case:
    """An object, and whether it is accepted.

    Args:
        id: words.
        spec: of the object, merged over one that is right.
        causes: reason (without `FieldValue`) and field of each; empty when it is accepted.
        metadata: of the object.
    """

    id: str
    spec: Json
    causes: tuple[tuple[str, str], ...] = ()
    metadata: Json = field(default_factory=dict)


def _quality(**fields: Any) -> Json:
    return {"serviceQualities": [{"name": "idle", **EXEC, **fields}]}


def _template(*containers: Json, **fields: Any) -> Json:
    return {"gameServerTemplate": {"spec": {"containers": list(containers)}, **fields}}


QUALITY = "spec.serviceQualities"
RESERVE = "spec.reserveGameServerIds"
SETS = (
    Case("smallest", {}),
    Case("no-servers", {"replicas": 0}),
    Case("reserve", {"reserveGameServerIds": [0, 2147483647, "3-5", "7-7"]}),
    Case("reserve-duplicates", {"reserveGameServerIds": [3, 3, "2-4", "3-9"]}),
    Case("quality", _quality()),
    Case("quality-of-each-handler", {"serviceQualities": [
        {"name": "a", **EXEC},
        {"name": "b", "httpGet": {"port": 80}},
        {"name": "c", "tcpSocket": {"port": 80}},
        {"name": "d", "grpc": {"port": 80}},
    ]}),
    Case("no-initial-delay", _quality(initialDelaySeconds=0)),
    Case("container-named", {**_template(MAIN, SIDE), **_quality(containerName="side")}),
    Case("name-of-52", {}, metadata={"name": "a" * 52}),
    Case("replicas-missing", {"replicas": None}, (("Required", "spec.replicas"),)),
    Case("replicas-negative", {"replicas": -1}, (("Invalid", "spec.replicas"),)),
    Case("template-missing", {"gameServerTemplate": None},
         (("Required", "spec.gameServerTemplate"),)),
    Case("reserve-negative", {"reserveGameServerIds": [-1]}, (("Invalid", f"{RESERVE}[0]"),)),
    Case("reserve-word", {"reserveGameServerIds": ["first"]}, (("Invalid", f"{RESERVE}[0]"),)),
    Case("reserve-backwards", {"reserveGameServerIds": ["5-3"]}, (("Invalid", f"{RESERVE}[0]"),)),
    Case("reserve-too-large", {"reserveGameServerIds": ["1-2147483648"]},
         (("Invalid", f"{RESERVE}[0]"),)),
    Case("reserve-second-is-bad", {"reserveGameServerIds": [1, "5-3"]},
         (("Invalid", f"{RESERVE}[1]"),)),
    Case("quality-twice", {"serviceQualities": [{"name": "a", **EXEC}, {"name": "a", **EXEC}]},
         (("Duplicate", f"{QUALITY}[1]"),)),
    Case("quality-name", _quality(name="Is Idle"), (("Invalid", f"{QUALITY}[0].name"),)),
    Case("no-handler", {"serviceQualities": [{"name": "a"}]}, (("Invalid", f"{QUALITY}[0]"),)),
    Case("two-handlers", _quality(tcpSocket={"port": 80}), (("Invalid", f"{QUALITY}[0]"),)),
    Case("empty-command", _quality(exec={"command": []}),
         (("Invalid", f"{QUALITY}[0].exec.command"),)),
    Case("threshold", _quality(failureThreshold=0),
         (("Invalid", f"{QUALITY}[0].failureThreshold"),)),
    Case("period", _quality(periodSeconds=0), (("Invalid", f"{QUALITY}[0].periodSeconds"),)),
    Case("timeout", _quality(timeoutSeconds=0), (("Invalid", f"{QUALITY}[0].timeoutSeconds"),)),
    Case("negative-delay", _quality(initialDelaySeconds=-1),
         (("Invalid", f"{QUALITY}[0].initialDelaySeconds"),)),
    Case("container-needed", {**_template(MAIN, SIDE), **_quality()}, (("Invalid", QUALITY),)),
    Case("container-unknown", _quality(containerName="other"), (("Invalid", QUALITY),)),
    Case("template-label", _template(MAIN, metadata={"labels": {"a": "-b"}}),
         (("Invalid", "spec.gameServerTemplate.metadata.labels.a"),)),
    Case("agents-name", _template(MAIN, {"name": "gamekeeper-agent", "image": "x"}),
         (("Invalid", "spec.gameServerTemplate.spec.containers[1].name"),)),
    Case("long-name", {}, (("TooLong", "metadata.name"),), metadata={"name": "a" * 53}),
    Case("dotted-name", {}, (("Invalid", "metadata.name"),), metadata={"name": "a.b"}),
)  # fmt: skip


def _set(case: Case) -> Json:
    spec = {"replicas": 1, **_template(MAIN), **case.spec}
    kept = {key: value for key, value in spec.items() if value is not None}
    return make("gameserversets", "game", {"metadata": case.metadata, "spec": kept})


def _expected(case: Case, code: int = 201) -> Expected:
    if not case.causes:
        return accepted(sources.GAMEKEEPER, code)
    return invalid(sources.GAMEKEEPER, *case.causes)


@pytest.mark.parametrize("case", rows(SETS))
async def test_a_set_is_judged_by_the_rules_of_its_definition(
    namespace: Namespace, case: Case
) -> None:
    _expected(case).check(await namespace.post("gameserversets", _set(case)))


SERVERS = (
    Case("smallest", {}),
    *(Case(f"state-{state.lower()}", {"opsState": state})
      for state in ("None", "WaitToBeDeleted", "Maintaining", "Allocated", "Kill", "Custom.1_x")),
    Case("priority-number", {"updatePriority": 5, "deletionPriority": -5}),
    Case("priority-text", {"updatePriority": "5", "deletionPriority": "-5"}),
    Case("priority-bounds", {"updatePriority": 2147483647, "deletionPriority": -2147483648}),
    Case("state-no-label", {"opsState": "not a label"}, (("Invalid", "spec.opsState"),)),
    Case("state-long", {"opsState": "a" * 64}, (("TooLong", "spec.opsState"),)),
    Case("priority-word", {"updatePriority": "high"}, (("Invalid", "spec.updatePriority"),)),
    Case("priority-too-large", {"deletionPriority": "2147483648"},
         (("Invalid", "spec.deletionPriority"),)),
    Case("claim-without-reason", {"deletion": {"podUid": "1"}},
         (("Required", "spec.deletion.reason"),)),
    Case("claim-of-an-unknown-reason", {"deletion": {"reason": "Boredom"}},
         (("NotSupported", "spec.deletion.reason"),)),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(SERVERS))
async def test_a_server_is_judged_by_the_rules_of_its_definition(
    namespace: Namespace, case: Case
) -> None:
    body = make("gameservers", "game-0", {"spec": case.spec})
    answer = await namespace.post("gameservers", body)
    if case.causes:
        assert answer.outcome == (422, "Invalid"), f"{sources.GAMEKEEPER}\n{answer.body}"
        expected = {(f"FieldValue{why}", name) for why, name in case.causes}
        assert expected <= answer.causes, f"{sources.GAMEKEEPER}\n{answer.body}"
    else:
        _expected(case).check(answer)


CLAIM = {"reason": "ScaleDown", "podUid": "1", "at": "2026-01-02T03:04:05Z"}
FINAL = CLAIM | {"reason": "Kill"}
CHANGES = (
    ({}, Case("claim", {"deletion": CLAIM})),
    ({}, Case("claim-and-state", {"deletion": CLAIM, "opsState": "Kill"})),
    (CLAIM, Case("state-of-a-claimed", {"opsState": "Allocated"},
                 (("Invalid", "spec.opsState"),))),
    (CLAIM, Case("priority-of-a-claimed", {"deletionPriority": 3})),
    (CLAIM, Case("same-claim-again", {"deletion": CLAIM, "deletionPriority": 3})),
    (CLAIM, Case("claim-for-another-reason", {"deletion": FINAL},
                 (("Invalid", "spec.deletion"),))),
    (CLAIM, Case("claim-on-another-pod", {"deletion": {"podUid": "2"}},
                 (("Invalid", "spec.deletion"),))),
    (CLAIM, Case("claim-taken-back", {"deletion": None})),
    (CLAIM, Case("claim-taken-back-and-allocated", {"deletion": None, "opsState": "Allocated"},
                 (("Invalid", "spec.opsState"),))),
    *((CLAIM | {"reason": reason},
       Case(f"claim-taken-back-{reason.lower()}", {"deletion": None},
            (("Invalid", "spec.deletion"),)))
      for reason in ("Reserved", "Kill", "Autoscaler")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "case"), [pytest.param(*change, id=change[1].id) for change in CHANGES]
)
async def test_a_claim_is_final(namespace: Namespace, claim: Json, case: Case) -> None:
    before: Json = {"opsState": "None", **({"deletion": claim} if claim else {})}
    await namespace.create("gameservers", "game-0", {"spec": before})
    change = {"spec": deepcopy(case.spec)}
    _expected(case, 200).check(await namespace.patch("merge", "gameservers", "game-0", change))


@pytest.mark.parametrize("seed", [pytest.param(path, id=path.stem) for path in SEEDS])
async def test_the_sets_of_the_seeds_are_accepted(namespace: Namespace, seed: Path) -> None:
    for document in yaml.safe_load_all(seed.read_text(encoding="utf-8")):
        metadata = {**document["metadata"], "namespace": namespace.name}
        answer = await namespace.post("gameserversets", {**document, "metadata": metadata})
        accepted(sources.GAMEKEEPER, 201).check(answer)


async def test_a_set_scales_through_its_subresource(namespace: Namespace) -> None:
    (await namespace.post("gameserversets", _set(Case("plain", {})))).ok()
    change = {"spec": {"replicas": 7}}
    (await namespace.patch("merge", "gameserversets", "game/scale", change)).ok()
    found = (await namespace.get("gameserversets", "game")).ok()
    assert found["spec"]["replicas"] == 7, sources.CRD_SCALE
