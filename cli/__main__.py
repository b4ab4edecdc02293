"""`gamekeeper`: the command of developers and operators. Also `kubectl gamekeeper`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.status_api import StatusOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 for success, 1 when what was asked for did not come true, 2 when it could not be tried:
        bad input, or a machine that cannot do it, with one line on stderr.
    """
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except AppError as error:
        print(f"gamekeeper {options.command}: {error.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (`gamekeeper demo | head`): there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gamekeeper",
        description="Service quality and precise scaling for game servers on Kubernetes.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_local(commands)
    _add_demo(commands)
    _add_crds(commands)
    _add_convert(commands)
    _add_explain(commands)
    _add_status(commands)
    _add_probe(commands)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
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
        "-f", "--file", action="append", type=Path, default=[], help="manifest to apply; repeatable"
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
        "--port", type=_port, default=0, help="port of the API server (default: any free one)"
    )
    local.add_argument(
        "--kubeconfig", type=Path, help="where to write the kubeconfig (default: a temporary file)"
    )
    local.add_argument("--data", type=Path, help="file that keeps the objects between runs")
    local.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="RULE",
        help="let the API server fail on purpose, for example "
        "action=error,verb=create,resource=pods,probability=0.2 (docs/local-cluster.md)",
    )
    local.set_defaults(run=_local)


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
    demo.set_defaults(run=_demo)


def _add_crds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    crds = commands.add_parser(
        "crds", help="print the CustomResourceDefinitions, for kubectl apply -f -"
    )
    crds.add_argument(
        "--directory", type=Path, help="write one file for each into this folder instead"
    )
    crds.set_defaults(run=_crds)


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explain = commands.add_parser(
        "explain",
        help="tell everything about one server, set or autoscaler, and why it did what it did",
        description="Asks the aggregator about one server (gs) or set (gss): live verdicts, the "
        "runs of its probes, what each action matched, what became of each field, what changed; or "
        "about an autoscaler (gssa): every number of its last decision, who is what and why. Exit "
        "code 1 when it does not exist.",
    )
    explain.add_argument("kind", metavar="gs|gss|gssa", type=_kind)
    explain.add_argument("name", metavar="NAME")
    _add_status_options(explain)
    explain.set_defaults(run=_explain)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser("status", help="list the sets with their servers' states")
    status.add_argument(
        "-A", "--all-namespaces", action="store_true", help="of all namespaces, not of one"
    )
    _add_status_options(status)
    status.set_defaults(run=_status)


def _add_status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--namespace", help="default: that of the current context of the kubeconfig"
    )
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )
    parser.add_argument("--server", metavar="URL", help="status API of the aggregator")
    parser.add_argument("--token-file", type=Path, help="file with a bearer token for it")
    parser.add_argument("--ca-file", type=Path, help="PEM file of the authority of its certificate")
    parser.add_argument("--kubeconfig", type=Path, help="default: $KUBECONFIG or ~/.kube/config")


def _kind(text: str) -> str:
    known = (
        *("gs", "gameserver", "gameservers", "gss", "gameserverset", "gameserversets"),
        *("gssa", "gameserversetautoscaler", "gameserversetautoscalers"),
    )
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
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
        help="manifest with the GameServerSet; repeatable",
    )
    probe.add_argument("--name", required=True, help="name of the service quality")
    probe.add_argument(
        "-c", "--container", help="container of the template to probe instead of containerName"
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
        help="where http, tcp and grpc probes go that name no host (default: 127.0.0.1)",
    )
    probe.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="default: table"
    )
    probe.set_defaults(run=_probe)


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser(
        "convert",
        help="print a KEDA ScaledObject as the GameServerSetAutoscaler that does the same",
        description="Prints the GameServerSetAutoscaler of each ScaledObject of a file. What could "
        "not be taken over stands above it in comments.",
    )
    convert.add_argument("file", type=Path, help="manifest with ScaledObjects")
    convert.set_defaults(run=_convert)


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError("must be 0 to 65535")
    return value


# Each command is imported when it runs: `gamekeeper version` needs none of the others' libraries.


def _local(options: argparse.Namespace) -> int:
    from cli.local import LocalOptions, run_local

    return run_local(
        LocalOptions(
            files=options.file,
            images=options.image,
            port=options.port,
            kubeconfig=options.kubeconfig,
            watch=options.watch,
            data=options.data,
            faults=options.fault,
        )
    )


def _demo(options: argparse.Namespace) -> int:
    from cli.demo import run_demo

    return run_demo(interactive=options.interactive)


def _crds(options: argparse.Namespace) -> int:
    from cli.crds import print_crds, write_crds

    if options.directory is None:
        print_crds()
    else:
        write_crds(options.directory)
    return 0


def _explain(options: argparse.Namespace) -> int:
    from cli.explain import run_explain

    return run_explain(options.kind, options.name, options.output, _status_options(options))


def _status(options: argparse.Namespace) -> int:
    from cli.explain import run_status

    return run_status(options.output, _status_options(options), everywhere=options.all_namespaces)


def _status_options(options: argparse.Namespace) -> StatusOptions:
    from cli.status_api import StatusOptions

    return StatusOptions(
        server=options.server,
        token_file=options.token_file,
        ca_file=options.ca_file,
        kubeconfig=options.kubeconfig,
        namespace=options.namespace,
    )


def _probe(options: argparse.Namespace) -> int:
    from cli.probe import ProbeOptions, run_probe

    chosen = ProbeOptions(
        options.file, options.name, options.container, options.pid, options.address
    )
    return run_probe(chosen, options.output)


def _convert(options: argparse.Namespace) -> int:
    from cli.convert import convert_file

    print(convert_file(options.file), end="")
    return 0


def _version(_options: argparse.Namespace) -> int:
    from importlib.metadata import version

    print(version("gamekeeper"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
