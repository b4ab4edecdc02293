#!/bin/bash
# The world. (Here it only has to exist.) Start it again with: bash ./world.sh &
echo $$ > world.pid
exec sleep infinity
