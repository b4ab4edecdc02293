"""What the aggregator changes about the interpreter that it runs in. Not pure: for the process.

| what | as Python has it | here | why |
| --- | --- | --- | --- |
| collector | after 700 objects | after 50,000 | big lists stall the loop for over a second |
| TLS buffer | 256 KiB a connection | 16 KiB | 1,000 agents take 290 MiB, here 55 MiB (measured) |
"""

from __future__ import annotations

import gc
from asyncio.sslproto import SSLProtocol

_GC_THRESHOLDS = (50_000, 50, 100)
# asyncio fills a buffer of this size with zeros for each connection, and asks for as much memory
# again at each read. A record of TLS has no more than this (RFC 8446, section 5.1), so a read never
# returns more. NB: a class attribute, read by each new connection of this process.
_TLS_BUFFER_BYTES = 16 * 1024


def tune() -> None:
    """Make the interpreter fit for long lists and for thousands of connections."""
    gc.set_threshold(*_GC_THRESHOLDS)
    SSLProtocol.max_size = _TLS_BUFFER_BYTES
