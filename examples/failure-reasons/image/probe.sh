#!/bin/bash
# Tells what is wrong: exit code 1 and a word on stdout. What goes to stderr is for people
# (gamekeeper explain shows it), and never the result.
if [ -e disk-is-full ]; then
  echo "disk"
  echo "no space is left for the world" >&2
  exit 1
fi
if [ -e ticks-are-late ]; then
  echo "lag"
  exit 1
fi
exit 0
