#!/bin/bash
# The main process of the server: starts the helpers, then plays the game until it is stopped.
save() {
  echo "saving the world"
  sleep 1
  exit 0
}
trap save TERM
./gate.sh &
./data.sh &
echo "the server is up"
# A helper that dies is reaped and the server goes on: that is the point of the example.
while true; do
  sleep 3600 &
  wait $!
done
