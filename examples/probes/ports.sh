#!/bin/bash
# Tells which of the ports is not open: tcp:PORT (listening) or udp:PORT (bound). Prints the first one
# with exit code 0, so that an action can name it; nothing with exit code 1 when all are open.
# For one TCP port the handler tcpSocket is cheaper; it cannot see UDP, which most games speak.
# It reads the kernel's table and connects to nothing, so no game sees a strange client.
# Needs bash and grep.
# usage: ports.sh tcp:25565 udp:7777...
for port in "$@"; do
  protocol=${port%%:*}
  number=$(printf '%04X' "${port##*:}") || exit 2
  case $protocol in
    tcp) state=0A ;; # TCP_LISTEN
    udp) state=07 ;; # bound and not connected
    *)
      echo "$port: must begin with tcp: or udp:" >&2
      exit 2
      ;;
  esac
  # A line: number, local address:port, remote address:port, state. The network is the whole pod's.
  if ! grep -qsE "^ *[0-9]+: [0-9A-F]+:$number [0-9A-F]+:[0-9A-F]{4} $state " \
    /proc/net/"$protocol" /proc/net/"$protocol"6; then
    echo "$port"
    exit 0
  fi
done
exit 1
