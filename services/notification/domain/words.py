"""How long a text is on the air, and how it is made plain before it is counted.

Called by `compose` and by the API for typed texts.
Invariant: `segment` counts the text exactly as given; nothing that takes two units is ever cut in two by the end of a part.
Source: GSM 03.38 (3GPP TS 23.038) for the alphabet; 160/153 septets and 70/67 UTF-16 units a part (TS 23.040).
"""

import unicodedata
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_SHORT = _BASIC | _EXTENDED

_SPELLINGS = {
    "'": "‘’‚‛′´ʼ`",
    '"': "“”„‟″«»",
    "-": "‐‑‒–—―−•",
    " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t",
    "...": "…",
    "/": "⁄∕",
    "<": "‹",
    ">": "›",
    "\n": "\u2028\u2029\u0085",
    "": "\u200b\u2060\ufeff\u00ad",
}
_PLAIN = {ord(written): said for said, many in _SPELLINGS.items() for written in many}


def segment(text: str) -> tuple[Encoding, int, int]:
    """The encoding `text` needs, how many parts it is sent in (at least one), and its length in septets or UTF-16 units."""
    if _SHORT.issuperset(text):
        sizes = [2 if char in _EXTENDED else 1 for char in text]
        return "GSM-7", _parts(sizes, alone=160, each=153), sum(sizes)
    sizes = [2 if ord(char) > 0xFFFF else 1 for char in text]
    return "UCS-2", _parts(sizes, alone=70, each=67), sum(sizes)


def plain(text: str) -> str:
    """`text` with curly quotes, dashes, odd spaces and the like in the spelling that fits the short alphabet; letters stay."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def _parts(sizes: list[int], *, alone: int, each: int) -> int:
    if sum(sizes) <= alone:
        return 1
    parts, room = 1, each
    for size in sizes:
        if size > room:
            parts, room = parts + 1, each
        room -= size
    return parts
