"""`gamekeeper`: the command of developers and operators. Also `kubectl gamekeeper`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from cli.arguments import installed_version, make_parser
from shared.errors import AppError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from cli.status_api import StatusOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 for success, 1 when what was asked for did not come true, 2 when it could not be tried:
        bad input, or a machine that cannot do it, with one line on stderr.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return _COMMANDS[options.command](options)
    except AppError as error:
        print(f"gamekeeper {options.command}: {error.message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (`gamekeeper demo | head`): there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


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
    from cli.crds import parse_version, print_crds, write_crds

    server = parse_version(options.kubernetes)
    if options.directory is None:
        print_crds(server)
    else:
        write_crds(options.directory, server)
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
        context=options.context,
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
    print(installed_version())
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "local": _local,
    "demo": _demo,
    "crds": _crds,
    "convert": _convert,
    "explain": _explain,
    "status": _status,
    "probe": _probe,
    "version": _version,
}


if __name__ == "__main__":
    sys.exit(main())
