"""`gamekeeper explain` and `gamekeeper status`: what they print, and how they fail."""

import errno
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiohttp import ClientConnectionError, ClientConnectorError
from aioresponses import aioresponses

from cli.__main__ import main

URL = "http://127.0.0.1:8081"
SERVER: dict[str, Any] = {
    "namespace": "games",
    "name": "minecraft-0",
    "gameServerSet": "minecraft",
    "state": "Ready",
    "opsState": "GateMaintaining",
    "deletionPriority": 0,
    "updatePriority": 0,
    "agent": {
        "state": "Reporting",
        "version": "0.1.0",
        "silentSeconds": 2.5,
        "probesRevision": "r1",
        "wantedProbesRevision": "r2",
    },
    "verdicts": {"healthy": "True(gate)"},
    "podUid": "pod-0",
    "qualities": [
        {
            "name": "healthy",
            "permanent": True,
            "decision": "Acted",
            "message": "its actions ran",
            "verdict": {
                "status": "True",
                "result": "gate",
                "reason": "",
                "message": "",
                "exitCode": 0,
                "stderr": "one\n\x1b[2Jtwo",
                "startedAt": "2026-01-02T03:04:05.678Z",
                "durationSeconds": 0.0251,
                "runs": 12,
                "consecutive": 3,
            },
            "actions": [
                {"state": True, "result": "gate", "matches": True, "message": "matches"},
                {"state": False, "result": "", "matches": False, "message": "is for False"},
            ],
            "fields": [
                {
                    "field": "opsState",
                    "asked": "GateMaintaining",
                    "present": "GateMaintaining",
                    "state": "InForce",
                    "message": "the server has this value",
                },
                {"field": "labels.x", "state": "Skipped", "message": "no legal label value"},
            ],
            "runs": [
                {
                    "status": "False",
                    "result": "",
                    "reason": "",
                    "exitCode": 1,
                    "stderr": "",
                    "firstAt": "2026-01-02T03:00:00.000Z",
                    "lastAt": "2026-01-02T03:04:02.000Z",
                    "runs": 80,
                    "number": 80,
                }
            ],
        }
    ],
    "actions": [],
    "transitions": [
        {
            "at": "2026-01-02T03:04:05.700Z",
            "field": "opsState",
            "before": "None",
            "after": "GateMaintaining",
            "cause": "healthy=True(gate)",
        },
        {
            "at": "2026-01-02T03:04:06.700Z",
            "field": "networkDisabled",
            "before": "",
            "after": "true",
            "cause": "",
        },
    ],
    "observedSince": "2026-01-02T03:00:00.000Z",
}
SERVER_TEXT = """\
games/minecraft-0  Ready, opsState GateMaintaining, deletionPriority 0, updatePriority 0
  set          minecraft
  agent        Reporting, version 0.1.0, last report 2.5 s ago, with an old probe list, which its \
next report replaces

healthy (permanent)  Acted: its actions ran
  verdict      True(gate), exit code 0, took 0.025 s, run 12, 3 alike, at 2026-01-02 03:04:05
               stderr: one
               stderr: �[2Jtwo
  actions      * state true, result gate: matches
                 state false: is for False
  fields       opsState = GateMaintaining  InForce: the server has this value
               labels.x  Skipped: no legal label value
  runs         2026-01-02 03:00:00 to 03:04:02  80 x False(empty), exit code 1

changes since 2026-01-02 03:00:00
  2026-01-02 03:04:05   opsState          None -> GateMaintaining   by healthy=True(gate)
  2026-01-02 03:04:06   networkDisabled   - -> true
"""
SET: dict[str, Any] = {
    "namespace": "games",
    "name": "minecraft",
    "replicas": 3,
    "currentReplicas": 3,
    "readyReplicas": 2,
    "opsStates": {"None": 2, "Allocated": 1},
    "agents": {"Reporting": 3},
    "generation": 2,
    "observedGeneration": 1,
    "conditions": [{"type": "Ready", "status": "False", "reason": "Waiting", "message": "one"}],
    "qualities": [
        {
            "name": "healthy",
            "permanent": False,
            "verdicts": {"True": 3},
            "decisions": {"Acted": 2, "RunsNow": 1},
        }
    ],
    "servers": [
        {
            "namespace": "games",
            "name": "minecraft-0",
            "gameServerSet": "minecraft",
            "state": "Ready",
            "opsState": "None",
            "deletionPriority": 5,
            "updatePriority": 0,
            "agent": "Reporting",
            "verdicts": {"healthy": "True(empty)"},
        }
    ],
    "serversOmitted": 2,
    "observedSince": "2026-01-02T03:00:00.000Z",
}
SET_TEXT = """\
games/minecraft  3 wanted, 3 there, 2 ready
  opsStates    2 None, 1 Allocated
  agents       3 Reporting
  spec         changed, and not looked at yet
  condition    Ready False Waiting: one
  quality      healthy: 3 True  ->  2 Acted, 1 RunsNow

SERVER        STATE   OPSSTATE   DP   AGENT       VERDICTS
minecraft-0   Ready   None       5    Reporting   healthy=True(empty)
and 2 more
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own settings away."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("GAMEKEEPER_STATUS_URL", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("kind", ["gs", "gameserver", "gameservers"])
def test_a_server_is_explained_as_text(
    web: aioresponses, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    web.get(f"{URL}/v1/gameservers/games/minecraft-0", payload=SERVER)
    arguments = ("explain", kind, "minecraft-0", "-n", "games", "--server", URL)
    assert run(capsys, *arguments) == (0, SERVER_TEXT, "")


def test_a_set_is_explained_as_text(web: aioresponses, capsys: pytest.CaptureFixture[str]) -> None:
    web.get(f"{URL}/v1/gameserversets/default/minecraft", payload=SET)
    assert run(capsys, "explain", "gss", "minecraft", "--server", f"{URL}/") == (0, SET_TEXT, "")


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_it_whole(
    web: aioresponses, capsys: pytest.CaptureFixture[str], output: str, load: Any
) -> None:
    web.get(f"{URL}/v1/gameservers/default/minecraft-0", payload=SERVER)
    code, text, _ = run(capsys, "explain", "gs", "minecraft-0", "-o", output, "--server", URL)
    assert (code, load(text)) == (0, SERVER)


def test_status_lists_the_sets_of_all_parts(
    web: aioresponses, capsys: pytest.CaptureFixture[str]
) -> None:
    web.get(
        f"{URL}/v1/gameserversets?namespace=default",
        payload={"items": [SET], "continue": "games/minecraft"},
    )
    other = SET | {"name": "lobby", "opsStates": {}, "agents": {}}
    web.get(
        f"{URL}/v1/gameserversets?continue=games%2Fminecraft&namespace=default",
        payload={"items": [other]},
    )
    assert run(capsys, "status", "--server", URL) == (
        0,
        "NAMESPACE   NAME        WANTED   THERE   READY   OPSSTATES             AGENTS\n"
        "games       minecraft   3        3       2       2 None, 1 Allocated   3 Reporting\n"
        "games       lobby       3        3       2       -                     -\n",
        "",
    )


def test_a_name_cannot_leave_its_place_in_the_path(
    web: aioresponses, capsys: pytest.CaptureFixture[str]
) -> None:
    rejection = {"reason": "NotFound", "message": "there is no game server"}
    web.get(f"{URL}/v1/gameservers/default/..%2F..%2Fx", status=404, payload=rejection)
    code, _, errors = run(capsys, "explain", "gs", "../../x", "--server", URL)
    assert (code, errors) == (1, "gamekeeper explain: there is no game server\n")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        pytest.param(
            {"status": 404, "payload": {"reason": "NotFound", "message": "there is no x"}},
            1,
            "there is no x",
            id="not there",
        ),
        pytest.param(
            {"status": 404, "body": "<html>"}, 2, "404 without JSON", id="another program"
        ),
        pytest.param({"status": 200, "body": "[" * 9_000}, 2, "without JSON", id="no JSON at all"),
        pytest.param(
            {"status": 401, "payload": {"reason": "Unauthenticated", "message": "no token"}},
            2,
            "no token; give a token with --token-file",
            id="no token",
        ),
        pytest.param(
            {"status": 403, "payload": {"reason": "Forbidden", "message": "me may not"}},
            2,
            "me may not",
            id="no right",
        ),
        pytest.param(
            {"status": 503, "payload": {"reason": "NotLeading", "message": "a standby"}},
            2,
            "a standby",
            id="a standby",
        ),
        pytest.param({"status": 500, "payload": 7}, 2, "answers 500", id="a bug"),
        pytest.param(
            {"exception": ClientConnectionError("refused")}, 2, "cannot ask", id="nobody there"
        ),
        pytest.param({"exception": TimeoutError()}, 2, "within 20 s", id="no answer"),
    ],
)
def test_a_failure_is_one_line_that_says_what_is_wrong(
    web: aioresponses, capsys: pytest.CaptureFixture[str], answer, code: int, words: str
) -> None:
    web.get(f"{URL}/v1/gameservers/default/x", **answer)
    exit_code, output, errors = run(capsys, "explain", "gs", "x", "--server", URL)
    assert (exit_code, output, errors.count("\n")) == (code, "", 1)
    assert words in errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(
            OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 8081)"),
            "Connection refused",
            id="nobody listens",
        ),
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known",
            id="a name that nobody knows",
        ),
        pytest.param(OSError("all of several failed"), "all of several failed", id="no number"),
    ],
)
def test_why_there_is_no_connection_is_said_once(
    web: aioresponses, capsys: pytest.CaptureFixture[str], error: OSError, words: str
) -> None:
    key: Any = SimpleNamespace(host="127.0.0.1", port=8081, ssl=True)
    web.get(f"{URL}/v1/gameserversets", exception=ClientConnectorError(key, error))
    code, _, errors = run(capsys, "status", "-A", "--server", URL)
    assert (code, errors) == (2, f"gamekeeper status: cannot ask {URL}: {words}\n")


@pytest.mark.parametrize(
    ("arguments", "where"),
    [(["-n", "games"], "namespace games"), (["-A"], "any namespace")],
    ids=["one namespace", "all"],
)
def test_that_there_is_no_set_is_said_in_words_and_not_by_an_empty_table(
    web: aioresponses, capsys: pytest.CaptureFixture[str], arguments: list[str], where: str
) -> None:
    query = "?namespace=games" if arguments == ["-n", "games"] else ""
    for _ in range(2):
        web.get(f"{URL}/v1/gameserversets{query}", payload={"items": []})
    told = run(capsys, "status", "--server", URL, *arguments)
    assert told == (0, "", f"there is no GameServerSet in {where}\n")
    assert run(capsys, "status", "--server", URL, "-o", "json", *arguments) == (0, "[]\n", "")
