#!/bin/bash
# The game. Each file in players/ is somebody who plays: touch one to join, remove it to leave.
mkdir -p players
trap 'exit 0' TERM
echo "the server is up"
while true; do
  sleep 3600 &
  wait $!
done
