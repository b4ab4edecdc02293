#!/bin/bash
# The game. It makes its world first, which takes a moment.
mkdir -p players
trap 'exit 0' TERM
sleep 2
echo "island" > world-is-made
echo "the server is up"
while true; do
  sleep 3600 &
  wait $!
done
