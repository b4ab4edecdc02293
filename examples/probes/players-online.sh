#!/bin/bash
# Asks a Minecraft server on PORT how many players are on (the Server List Ping that every client
# uses). Prints the number. Exit code 0: nobody is; 1: somebody is; 2: the server does not tell.
# Needs bash and coreutils. Protocol: minecraft.wiki/w/Java_Edition_protocol/Server_List_Ping
# usage: players-online.sh [PORT]
export LC_ALL=C
port=${1:-25565}

# Lengths are varints: 7 bits in each byte, the smallest first, the highest bit says that one follows.
read_varint() {
  local byte shift=0
  value=0
  while byte=$(od -An -tu1 -N1 <&3) && [[ -n $byte ]] && ((shift < 35)); do
    value=$((value | (byte & 127) << shift))
    ((shift += 7))
    ((byte & 128)) || return 0
  done
  return 1
}

give_up() {
  echo "$1" >&2
  exit 2
}

trap "" PIPE # a server that hangs up must not end the script
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 2
# Handshake: any version, "localhost", the port in two bytes, "status comes next". Then the request.
printf '\x13\x00\xff\xff\xff\xff\x0f\x09localhost'"$(printf '\\x%02x\\x%02x' $((port >> 8)) $((port & 255)))"'\x01\x01\x00' 2>/dev/null >&3
read_varint && read_varint && read_varint || give_up "the server hung up" # packet, its kind, text
((value > 0 && value < 1048576)) || give_up "this is no status"
status=$(head -c "$value" <&3)
[[ $status =~ \"online\"[[:space:]]*:[[:space:]]*([0-9]+) ]] || give_up "the status has no players"

echo "${BASH_REMATCH[1]}"
[[ ${BASH_REMATCH[1]} -eq 0 ]]
