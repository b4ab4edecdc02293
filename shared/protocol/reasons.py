"""Every reason that stands beside a verdict, what it means and what to do about it. Pure.

The one place where they are documented: docs/probe-reasons.md shows this table, and a test holds
it to what the agent's source can say. An agent's message says the same in the words of the very
case, so the agent itself does not load this.
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """One reason.

    Attributes:
        verdicts: which ones it stands beside.
        meaning: what happened.
        remedy: what to do, in one line.
    """

    verdicts: str
    meaning: str
    remedy: str


REASONS = {
    "ProbePending": Reason(
        "Unknown",
        "No verdict yet: the initial delay runs, or a threshold is not reached.",
        "Wait, or lower initialDelaySeconds or the threshold.",
    ),
    "AgentLost": Reason(
        "Unknown",
        "The aggregator has had no report of this agent for three heartbeats.",
        "Look at the agent's container: `kubectl logs POD -c gamekeeper-agent`.",
    ),
    "AgentMissing": Reason(
        "Unknown",
        "The pod was made before the set had service qualities, so it has no agent.",
        "Recreate the pod when its players have left.",
    ),
    "NoSharedPidNamespace": Reason(
        "Unknown",
        "The agent sees only its own processes, or those of the whole node.",
        "Set shareProcessNamespace: true in the pod template, without hostPID.",
    ),
    "ContainerNotFound": Reason(
        "Unknown",
        "The container has not started yet, or containerName names none.",
        "Wait for its start; check containerName.",
    ),
    "ContainerNotRunning": Reason(
        "Unknown",
        "The container has ended.",
        "Nothing: probing goes on when it is restarted.",
    ),
    "ContainerNotWatched": Reason(
        "Unknown",
        "The agent cannot see whether the container runs: no descriptors, or no pidfd_open.",
        "Raise the agent's limit of open files, or update the node's kernel or sandbox.",
    ),
    "TargetHasMoreCapabilities": Reason(
        "Unknown",
        "The game's main process has capabilities that the agent lacks.",
        "Run the game as a non-root user, or use the profile `default` or `ptrace`.",
    ),
    "TargetNotDumpable": Reason(
        "Unknown",
        "The game's main process is protected from inspection.",
        "Start it without set-uid and file capabilities, or use the profile `ptrace`.",
    ),
    "MissingCapability": Reason(
        "Unknown",
        "The agent lacks the capability that the message names.",
        "Add it to the agent's security context, or use the profile `default`.",
    ),
    "WorkingDirDenied": Reason(
        "Unknown",
        "The game's user may not enter the folder it was started in.",
        "Give that user search permission (x) on the folder.",
    ),
    "ExecNotFound": Reason(
        "Unknown",
        "The program, its interpreter or a command of the script is missing (exit code 127).",
        "Check the path, the container's PATH and containerName.",
    ),
    "ExecNotExecutable": Reason(
        "Unknown",
        "The program or a command of the script cannot be executed (exit code 126).",
        "Make it executable (chmod +x), begin it with #!, or name its interpreter.",
    ),
    "ExecHelperDied": Reason(
        "Unknown",
        "The process that runs or watches probes has ended, or could not be started.",
        "Nothing: it is started again. If it repeats, raise the agent's memory and pid limits.",
    ),
    "HostNotResolved": Reason(
        "Unknown",
        "The name in `host` has no address.",
        "Check the name, and the cluster's DNS.",
    ),
    "NetworkUnavailable": Reason(
        "Unknown",
        "The agent itself cannot connect: no route, no permission, no descriptors.",
        "Check the pod's network and the agent's limits.",
    ),
    "InvalidHeader": Reason(
        "Unknown",
        "A header of httpHeaders cannot be sent.",
        "Take line breaks out of it, and spaces out of its name.",
    ),
    "Timeout": Reason(
        "False",
        "The probe took longer than timeoutSeconds.",
        "Raise timeoutSeconds, or make the probe or the server faster.",
    ),
    "ConnectionRefused": Reason(
        "False",
        "Nothing listens there.",
        "Check the port, and that the server listens on the pod's address, not on loopback only.",
    ),
    "HostUnreachable": Reason(
        "False",
        "Nobody has that address.",
        "Check `host`.",
    ),
    "ConnectionLost": Reason(
        "False",
        "The server broke the connection off.",
        "Look into the server's log.",
    ),
    "TLSFailed": Reason(
        "False",
        "No TLS connection came about.",
        "Check scheme and port.",
    ),
    "BrokenResponse": Reason(
        "False",
        "What came is no complete HTTP/1.x response, or a redirect to nowhere.",
        "Check that the port speaks HTTP/1.1, and the server's log.",
    ),
    "HTTPStatus": Reason(
        "False",
        "The status is not from 200 to 399.",
        "Look into the server's log; the body is the result.",
    ),
    "TooManyRedirects": Reason(
        "False",
        "Ten requests led from one redirect to the next.",
        "Let the path answer by itself.",
    ),
    "NotServing": Reason(
        "False",
        "The gRPC health service answers something other than SERVING.",
        "Look into the server's log; the status is the result.",
    ),
    "RPCFailed": Reason(
        "False",
        "The gRPC call failed.",
        "Check that the port serves plaintext gRPC with grpc.health.v1.Health and that service.",
    ),
    "RedirectNotFollowed": Reason(
        "True",
        "The server redirects to another host, which is not followed: a success with a warning.",
        "Probe a path that answers by itself.",
    ),
    "ResultShortened": Reason(
        "True, False",
        "The results of all probes exceed the 64 KiB of a report: this one was cut.",
        "Print less.",
    ),
}


def render_table() -> str:
    """Return the reasons as a Markdown table."""
    lines = ["| reason | verdict | meaning | what to do |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {reason.verdicts} | {reason.meaning} | {reason.remedy} |"
        for name, reason in REASONS.items()
    ]
    return "\n".join(lines)
