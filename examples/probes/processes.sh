#!/bin/bash
# Tells which of the processes NAME... is missing. Prints the first such name with exit code 0, so
# that an action can name it; nothing with exit code 1 when all run.
# Needs bash and pgrep (procps).
# usage: processes.sh NAME...
for name in "$@"; do
  # -u: the user of the game, so that pause and other sidecars do not count.
  # -x: the whole name, so that "gate" is not found in "gamekeeper-agent" or "propagate".
  # NB: the kernel keeps 15 characters of a name.
  if ! pgrep -u "$(id -u)" -x "${name:0:15}" >/dev/null; then
    echo "$name"
    exit 0
  fi
done
exit 1
