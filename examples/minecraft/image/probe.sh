#!/bin/bash
# Tells which helper is missing: its name and exit code 0, or nothing and exit code 1 when all is well.
for helper in gate data; do
  # Not "is not 1": while a shell starts a program there are two of it for a moment.
  if [ "$(ps -e -o args= | grep -c "[.]/$helper[.]sh")" -eq 0 ]; then
    echo "$helper"
    exit 0
  fi
done
exit 1
