"""What can be typed: the commands of `gamekeeper` and their options. Pure but for `--version`.

What a command does is in the module of its name; here is only how it is asked for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.kinds import KINDS


def installed_version() -> str:
    """Return the version of the installed Gamekeeper."""
    from importlib.metadata import version

    return version("gamekeeper")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its `command` is None where none was named."""
    parser = argparse.ArgumentParser(
        prog="gamekeeper",
        description="Service quality and precise scaling for game servers on Kubernetes.",
    )
    parser.add_argument("--version", action=_PrintVersion, help="print the version")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_local(commands)
    _add_demo(commands)
    _add_crds(commands)
    _add_convert(commands)
    _add_explain(commands)
    _add_status(commands)
    _add_probe(commands)
    commands.add_parser("version", help="print the version")
    return parser


def _add_local(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    local = commands.add_parser(
        "local",
        help="run a cluster on this machine and apply files to it",
        description="Runs an API server, a kubelet and the aggregator on this machine, applies the "
        "files and stays until Ctrl-C. Game servers are real sandboxed processes; nothing is left "
        "behind. Needs Linux with user namespaces, no privilege.",
    )
    local.add_argument(
        "-f",
        "--file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="manifest to apply; repeatable",
    )
    local.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="REF=DIR",
        help="folder that stands for an image (with an image.yaml); besides the images.yaml that "
        "lies beside an applied file",
    )
    local.add_argument(
        "--watch", action="store_true", help="apply a file again whenever it changes"
    )
    local.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="port of the API server (default: any free one)",
    )
    local.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="where to write the kubeconfig (default: a temporary file)",
    )
    local.add_argument(
        "--data", type=Path, metavar="FILE", help="file that keeps the objects between runs"
    )
    local.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="RULE",
        help="let the API server fail on purpose, for example "
        "action=error,verb=create,resource=pods,probability=0.2 (docs/local-cluster.md)",
    )


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="run the minecraft example end to end and check every step",
        description="Runs three game servers on a local cluster, breaks and mends them, scales "
        "them, all with kubectl, and checks every table. Exit code 1 when a step fails.",
    )
    demo.add_argument(
        "--interactive", action="store_true", help="leave the cluster running until Ctrl-C"
    )


def _add_crds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    crds = commands.add_parser(
        "crds",
        help="print the CustomResourceDefinitions, for kubectl apply -f -",
        description="Prints the CustomResourceDefinitions of this version, for kubectl apply -f -. "
        "The chart has the same ones, which need Kubernetes 1.34; with --kubernetes an older one "
        "gets those that it takes.",
    )
    crds.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="write one file for each into this folder instead",
    )
    crds.add_argument(
        "--kubernetes",
        metavar="VERSION",
        help="version of the API server; before 1.34 it refuses some of the rules, and gets fewer",
    )


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explain = commands.add_parser(
        "explain",
        help="tell everything about one server, set or autoscaler, and why it did what it did",
        description="Asks the aggregator about one server (gs) or set (gss): live verdicts, the "
        "runs of its probes, what each action matched, what became of each field, what changed; or "
        "about an autoscaler (gssa): every number of its last decision, who is what and why. Exit "
        "code 1 when it does not exist.",
    )
    explain.add_argument(
        "kind", metavar="gs|gss|gssa", type=_kind, help="a server, a set or an autoscaler"
    )
    explain.add_argument("name", metavar="NAME", help="its name")
    _add_status_options(explain)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser(
        "status",
        help="list the sets with their servers' states",
        description="Asks the aggregator for the sets of a namespace and lists them: how many "
        "servers each wants and has, their opsStates, and whether their agents report.",
    )
    status.add_argument(
        "-A", "--all-namespaces", action="store_true", help="of all namespaces, not of one"
    )
    _add_status_options(status)


def _add_status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="default: that of the context of the kubeconfig"
    )
    _add_output_option(parser)
    parser.add_argument(
        "--server",
        metavar="URL",
        help="status API of the aggregator (default: $GAMEKEEPER_STATUS_URL, else what the local "
        "cluster has noted in the kubeconfig; docs/status-api.md)",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with a bearer token for it"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="PEM file of the authority of its certificate"
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="default: $KUBECONFIG or ~/.kube/config",
    )
    parser.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: the current one)"
    )


def _add_output_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )


def _kind(text: str) -> str:
    if text not in KINDS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(KINDS)}")
    return text


def _add_probe(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    probe = commands.add_parser(
        "probe",
        help="run one service quality here, once",
        description="Runs the probe of one service quality on this machine, with the agent's own "
        "code, and tells which actions its result would match. Nothing is written anywhere. Exit "
        "code 0 for True, 1 for False, 2 for Unknown or bad input.",
        epilog="example: gamekeeper probe -f set.yaml --name idle",
    )
    probe.add_argument(
        "-f",
        "--file",
        action="append",
        type=Path,
        required=True,
        metavar="FILE",
        help="manifest with the GameServerSet; repeatable",
    )
    probe.add_argument("--name", required=True, metavar="NAME", help="name of the service quality")
    probe.add_argument(
        "-c",
        "--container",
        metavar="NAME",
        help="container of the template to probe instead of containerName",
    )
    probe.add_argument(
        "--pid",
        type=int,
        help="run the command as this process would: its root, folder, user and environment "
        "(default: this machine, as you are)",
    )
    probe.add_argument(
        "--address",
        default="127.0.0.1",
        metavar="HOST",
        help="where http, tcp and grpc probes go that name no host (default: 127.0.0.1)",
    )
    _add_output_option(probe)


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser(
        "convert",
        help="print a KEDA ScaledObject as the GameServerSetAutoscaler that does the same",
        description="Prints the GameServerSetAutoscaler of each ScaledObject of a file. What could "
        "not be taken over stands above it in comments.",
    )
    convert.add_argument("file", type=Path, metavar="FILE", help="manifest with ScaledObjects")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to 65535")
    return int(text)


class _PrintVersion(argparse.Action):
    """`--version`, which argparse has only for a text that is known before it is asked for."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(installed_version())
        parser.exit()
