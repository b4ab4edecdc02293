#!/bin/bash
# Tells whether the server is healthy: exit code 0 while its world runs.
# Not ps | grep world: that would find this very script's grep, and every file of that name.
kill -0 "$(cat world.pid)" 2> /dev/null
