#!/bin/bash
# Sends COMMAND to the RCON port of a game (Minecraft, Source engine, ARK, Rust, Palworld...) and
# prints what it answers. Exit code 0: the answer matches PATTERN (an extended regular expression, any
# text if absent); 1: it does not; 2: there is no answer, or the password is wrong.
# The password comes from the environment variable RCON_PASSWORD of the container.
# Needs bash and coreutils. Protocol: developer.valvesoftware.com/wiki/Source_RCON_Protocol
# usage: rcon.sh PORT COMMAND [PATTERN]
export LC_ALL=C # ${#text} counts bytes
port=$1 command=$2 pattern=${3-}

little_endian() { # a number as four bytes, escaped for printf
  printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

send() { # ID TYPE TEXT, in one write: some servers want a packet in one piece
  printf "$(little_endian $((${#3} + 10)))$(little_endian "$1")$(little_endian "$2")%s\0\0" "$3" 2>/dev/null >&3
}

receive() { # sets id, type and text
  set -- $(od -An -td4 -N12 --endian=little -w12 <&3)
  (($# == 3 && ${1:-0} >= 10 && ${1:-0} <= 65536)) || give_up "the server hung up"
  id=$2 type=$3
  text=$(head -c $(($1 - 8)) <&3 | tr -d '\0')
}

give_up() {
  echo "$1" >&2
  exit 2
}

trap "" PIPE # a server that hangs up must not end the script
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 2
send 1 3 "${RCON_PASSWORD-}"
receive
((type == 2)) || receive # the Source engine sends an empty packet before its verdict
((id == 1)) || give_up "RCON_PASSWORD is wrong"
send 2 2 "$command"
receive
printf '%s\n' "$text"
[[ $text =~ $pattern ]]
