"""`python -m agent`: the order of the first steps, which matters, and the exit codes.

The title comes first, because every process of the pod may be counted by a game's script. The exec
helper is forked next, before anything heavy is imported: it shares this small beginning with the
agent for ever. Exit codes: 0 after SIGTERM or SIGINT, 2 when a setting is wrong (one line on
stderr).
"""

from __future__ import annotations

import gc
import os
import sys

from agent.exec import helper, kernel
from agent.title import AGENT_TITLE, set_title


def main() -> int:
    """Run the agent until it is told to stop; return the exit code."""
    set_title(AGENT_TITLE)
    kernel.hide_memory()
    # Also where a security context forgot to say so: no probe gains what its container has not.
    kernel.forbid_new_privileges()
    # The collector writes to every object it looks at, and each page written to is no longer
    # shared: what lives at the fork is left alone from here on (0.8 MiB less private memory,
    # measured).
    gc.freeze()
    exec_helper = helper.fork()
    # Imported after the fork, so that the helper does not carry them.
    from agent import log
    from agent.app import Agent
    from agent.settings import read_settings
    from shared.errors import InvalidInput

    try:
        settings = read_settings(os.environ)
        log.configure(settings.log_level)
        agent = Agent(settings, exec_helper)
    except InvalidInput as error:
        print(f"gamekeeper-agent: {error.message}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gamekeeper-agent: GAMEKEEPER_CA_FILE: {error.strerror or error}", file=sys.stderr)
        return 2
    agent.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
