"""Names and texts as restic writes them into trees, byte for byte.

A name is quoted twice: as Go's strconv.Quote does, so that any bytes survive, and then as Go's
encoding/json does. Both must be met exactly, or an unchanged directory would get another id
under stock restic than under us.

Source: Go's strconv.Quote and encoding/json; restic's internal/data (node names).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from include.backup.errors import DamageFound

# Letters that no step of the quoting touches; most names consist of these alone.
_UNTOUCHED = re.compile(rb"[ !#-%'-;=?-\[\]-~]*")
_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\"\\])|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))", re.ASCII
)
_MEANING = {escape[1]: char for char, escape in _SHORT_ESCAPES.items()}
_JSON_EXTRA = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}
_NEEDS_EXTRA = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_FIRST_SURROGATE, _LAST_SURROGATE = 0xD800, 0xDFFF


@lru_cache(maxsize=1024)  # the same owners stand in every node
def json_text(text: str) -> str:
    """`text` as a JSON string with Go's escapes.

    A byte that is not UTF-8, which Python keeps as a lone surrogate, becomes an escaped U+FFFD:
    one for each byte, as in Go.
    """
    return go_escaped(json.dumps(text, ensure_ascii=False))


def go_escaped(document: str) -> str:
    """A JSON document with the letters escaped that Go's encoder escapes besides."""
    return _NEEDS_EXTRA.sub(lambda match: _JSON_EXTRA.get(match[0], "\\ufffd"), document)


def json_name(name: bytes) -> str:
    """The JSON string of a file name."""
    if _UNTOUCHED.fullmatch(name):
        return f'"{name.decode("ascii")}"'
    return json_text(quote(name))


def quote(name: bytes) -> str:
    """strconv.Quote without the outer quotation marks."""
    return "".join(map(_quoted, name.decode("utf-8", "surrogateescape")))


def unquote(text: str) -> bytes:
    """The bytes that `quote` was given.

    Raises:
        DamageFound: a backslash that begins no escape, or a quotation mark that is bare.
    """
    if "\\" not in text and '"' not in text:
        return text.encode("utf-8", "surrogatepass")
    parts: list[bytes] = []
    position = 0
    for match in _ESCAPE.finditer(text):
        parts.append(_plain(text[position : match.start()]))
        letter, byte, short, long = match.groups()
        if letter:
            parts.append(_MEANING[letter].encode())
        elif byte:
            parts.append(bytes.fromhex(byte))
        else:
            parts.append(_rune(short or long))
        position = match.end()
    parts.append(_plain(text[position:]))
    return b"".join(parts)


def _quoted(char: str) -> str:
    code = ord(char)
    if _FIRST_SURROGATE <= code <= _LAST_SURROGATE:  # a byte that is not UTF-8
        return f"\\x{code & 0xFF:02x}"
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    if code < 0x20 or code == 0x7F:  # noqa: PLR2004  the ASCII control characters
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  Go's two widths


def _plain(text: str) -> bytes:
    if "\\" in text or '"' in text:
        raise DamageFound(f"the name {text[:80]!r} is not quoted as a tree quotes names")
    return text.encode("utf-8", "surrogatepass")


def _rune(digits: str) -> bytes:
    code = int(digits, 16)
    if code > 0x10FFFF or _FIRST_SURROGATE <= code <= _LAST_SURROGATE:  # noqa: PLR2004  Unicode's end
        raise DamageFound(f"the name escape {digits!r} is not a character")
    return chr(code).encode()
