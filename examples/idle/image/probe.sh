#!/bin/bash
# Tells whether the server is idle: exit code 0 when nobody plays, 1 when somebody does.
[ -z "$(ls players)" ]
