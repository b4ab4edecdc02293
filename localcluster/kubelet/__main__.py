"""`python -m localcluster.kubelet`: forks the launcher, then becomes the kubelet.

The order of the imports is the point: the launcher is forked before anything heavy is imported.
Exit codes: 0 after SIGTERM or SIGINT, 1 when the launcher died, 2 for a bad argument or host.
"""

from __future__ import annotations

import sys

from localcluster.kubelet.fork import fork_launcher


def main() -> int:
    """Run the kubelet; return its exit code."""
    channel, launcher_pid = fork_launcher()

    import asyncio

    import structlog

    from localcluster.kubelet.app import LauncherEnded, run
    from localcluster.kubelet.host import check_host
    from localcluster.kubelet.settings import parse_arguments
    from shared.errors import InvalidInput

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        settings = parse_arguments(sys.argv[1:])
    except InvalidInput as error:
        sys.stderr.write(f"kubelet: {error.message}\n")
        return 2
    problem = check_host()
    if problem is not None:
        sys.stderr.write(f"kubelet: {problem}\n")
        return 2
    try:
        asyncio.run(run(settings, channel, launcher_pid))
    except LauncherEnded as ended:
        sys.stderr.write(f"kubelet: {ended}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
