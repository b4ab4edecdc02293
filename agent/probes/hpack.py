"""HPACK (RFC 7541): decodes the header blocks of one HTTP/2 connection. Pure, no I/O.

Encoding needs nothing of this: a client may send every field as a literal, see http2.py. Decoding
needs all of it, since a server may use Huffman codes and its dynamic table as it likes.
"""

from __future__ import annotations

MAX_FIELDS = 128
MAX_TEXT_BYTES = 16 * 1024
TABLE_BYTES = 4096  # 4.2: what holds while we announce nothing else
_ENTRY_OVERHEAD_BYTES = 32  # 4.1
_MAX_INTEGER_BYTES = 5  # enough for 2**28; more is an attack, or nonsense

# Appendix A: the names, and the values of those that have one.
_STATIC_NAMES = (  # noqa: SIM905 - a word a line would bury the rest
    ":authority :method :method :path :path :scheme :scheme :status :status :status :status"
    " :status :status :status accept-charset accept-encoding accept-language accept-ranges accept"
    " access-control-allow-origin age allow authorization cache-control content-disposition"
    " content-encoding content-language content-length content-location content-range"
    " content-type cookie date etag expect expires from host if-match if-modified-since"
    " if-none-match if-range if-unmodified-since last-modified link location max-forwards"
    " proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie"
    " strict-transport-security transfer-encoding user-agent vary via www-authenticate"
).split()
_STATIC_VALUES = {
    2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 8: "200", 9: "204",
    10: "206", 11: "304", 12: "400", 13: "404", 14: "500", 16: "gzip, deflate",
}  # fmt: skip

# Appendix B. The code is canonical: the lengths of the codes of the 256 bytes and of EOS determine
# it (shorter first, then by value). One letter each, "A" is 5 bits.
_CODE_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJB"
    "KABABABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS"
    "VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWVZ"
)
_EOS = 256


class HeaderBlockError(Exception):
    """The block breaks a rule; the connection cannot be read any further."""


class Decoder:
    """The decoding side of a connection: its dynamic table lives from block to block."""

    def __init__(self) -> None:
        self._table: list[tuple[str, str]] = []  # newest first
        self._size = 0
        self._most = TABLE_BYTES

    def decode(self, block: bytes) -> dict[str, str]:
        """Return the fields of a complete block; of a repeated one the last value.

        Raises:
            HeaderBlockError: the block is malformed, or larger than any answer to us can be.
        """
        reader = _Reader(block)
        fields: dict[str, str] = {}
        count = 0
        while not reader.is_at_end:
            count += 1
            if count > MAX_FIELDS:
                raise HeaderBlockError(f"more than {MAX_FIELDS} header fields")
            field = self._decode_one(reader)
            if field is not None:
                fields[field[0]] = field[1]
        return fields

    def _decode_one(self, reader: _Reader) -> tuple[str, str] | None:
        """Return the next field; None for an update of the table's size (section 6)."""
        first = reader.peek()
        if first & 0x80:
            return self._at(reader.integer(7))
        if first & 0xE0 == 0x20:
            self._resize(reader.integer(5))
            return None
        is_remembered = first & 0xC0 == 0x40
        index = reader.integer(6 if is_remembered else 4)
        name = self._at(index)[0] if index else reader.text()
        field = (name, reader.text())
        if is_remembered:
            self._remember(field)
        return field

    def _at(self, index: int) -> tuple[str, str]:
        if 1 <= index <= len(_STATIC_NAMES):
            return _STATIC_NAMES[index - 1], _STATIC_VALUES.get(index, "")
        position = index - len(_STATIC_NAMES) - 1
        if not 0 <= position < len(self._table):
            raise HeaderBlockError(f"index {index} is in no table")
        return self._table[position]

    def _resize(self, most: int) -> None:
        if most > TABLE_BYTES:
            raise HeaderBlockError(f"a table of {most} bytes is more than was allowed")
        self._most = most
        self._evict()

    def _remember(self, field: tuple[str, str]) -> None:
        self._table.insert(0, field)
        self._size += _size_of(field)
        self._evict()

    def _evict(self) -> None:
        while self._size > self._most:
            self._size -= _size_of(self._table.pop())


class _Reader:
    """Reads the primitive types of section 5 from a block."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._block)

    def peek(self) -> int:
        if self.is_at_end:
            raise HeaderBlockError("the block ends too early")
        return self._block[self._position]

    def integer(self, prefix_bits: int) -> int:
        """Return an integer whose first bits share a byte with something else (5.1)."""
        most = (1 << prefix_bits) - 1
        value = self._next() & most
        if value < most:
            return value
        for shift in range(0, 7 * _MAX_INTEGER_BYTES, 7):
            byte = self._next()
            value += (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise HeaderBlockError("an integer has no end")

    def text(self) -> str:
        """Return a string literal (5.2)."""
        is_coded = bool(self.peek() & 0x80)
        length = self.integer(7)
        end = self._position + length
        if end > len(self._block) or length > MAX_TEXT_BYTES:
            raise HeaderBlockError("a text is longer than the block")
        raw = self._block[self._position : end]
        self._position = end
        return (decode_huffman(raw) if is_coded else raw).decode("latin-1")

    def _next(self) -> int:
        byte = self.peek()
        self._position += 1
        return byte


def decode_huffman(coded: bytes) -> bytes:
    """Return the bytes that a Huffman-coded text stands for (5.2, Appendix B).

    Raises:
        HeaderBlockError: the code or its padding is wrong.
    """
    symbols = _symbols()
    decoded = bytearray()
    code = length = 0
    for byte in coded:
        for shift in range(7, -1, -1):
            code = code << 1 | byte >> shift & 1
            length += 1
            symbol = symbols.get((length, code))
            if symbol == _EOS:
                raise HeaderBlockError("a text contains the end-of-string code")
            if symbol is not None:
                decoded.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise HeaderBlockError("a text is not padded with ones")
    return bytes(decoded)


def _symbols() -> dict[tuple[int, int], int]:
    """Return the symbol of each (length in bits, code)."""
    if not _symbol_by_code:
        lengths = [ord(letter) - ord("A") + 5 for letter in _CODE_LENGTHS]
        code = length = 0
        for symbol in sorted(range(len(lengths)), key=lambda each: (lengths[each], each)):
            code <<= lengths[symbol] - length
            length = lengths[symbol]
            _symbol_by_code[length, code] = symbol
            code += 1
    return _symbol_by_code


_symbol_by_code: dict[tuple[int, int], int] = {}


def _size_of(field: tuple[str, str]) -> int:
    return len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD_BYTES
