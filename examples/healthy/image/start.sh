#!/bin/bash
# The game, and its world: a process of its own, which can die while the game goes on.
# Each file in players/ is somebody who plays: touch one to join, remove it to leave.
mkdir -p players
trap 'exit 0' TERM
bash ./world.sh &
echo "the server is up"
while true; do
  sleep 3600 &
  wait $!
done
