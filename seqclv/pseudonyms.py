"""Pseudonyms: customer ids replaced by a keyed hash, HMAC-SHA256 (RFC 2104) in lower-case hexadecimal.

Without the key a pseudonym tells nothing about the id; with it the same id always gives the same pseudonym. The key is
read from an environment variable or a file and stays in memory: it is never written, shown or recorded. What a store
keeps is a check value that tells the right key from another one.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from seqclv.errors import InputError

LEAST_BYTES = 16
_BLOCK = 64  # bytes of a block of SHA-256
_CHECK = b"seqclv: is this the key of the pseudonyms?"


@dataclass(frozen=True)
class PseudonymKey:
    """A secret key; its text never shows it."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST_BYTES:
            raise InputError(
                f"A key of pseudonyms needs at least {LEAST_BYTES} bytes, but this one has {len(self.secret)}: make "
                "one with `openssl rand -hex 32`."
            )

    def pseudonym(self, customer_id: str) -> str:
        """What stands for a customer id: 64 hexadecimal digits."""
        return hmac.new(self.secret, customer_id.encode(), hashlib.sha256).hexdigest()

    @property
    def check(self) -> str:
        """Tells two keys apart without telling a key; another message than any pseudonym's, cut short."""
        inner = hmac.new(self.secret, _CHECK, hashlib.sha512).hexdigest()
        return inner[:16]

    @property
    def pads(self) -> tuple[bytes, bytes]:
        """The inner and the outer pad of the hash (RFC 2104, section 2), for a database that hashes many ids."""
        short = self.secret if len(self.secret) <= _BLOCK else hashlib.sha256(self.secret).digest()
        filled = short.ljust(_BLOCK, b"\0")
        return bytes(byte ^ 0x36 for byte in filled), bytes(byte ^ 0x5C for byte in filled)


def read_key(place: str) -> PseudonymKey:
    """The key in an environment variable ('env:NAME') or in a file; blanks and line ends around it do not count.

    Raises:
        InputError: the variable or the file is missing or holds no key. The key is not repeated.
    """
    if place.startswith("env:"):
        name = place.removeprefix("env:")
        text = os.environb.get(name.encode())
        if text is None:
            raise InputError(f"A key of pseudonyms is in the variable it is said to be in, but {name} is not set.")
    else:
        try:
            text = Path(place).read_bytes()
        except OSError as error:
            raise InputError(
                f"A key of pseudonyms is a readable file or env:NAME, but '{place}' cannot be read: {error.strerror}."
            ) from error
    return PseudonymKey(text.strip())
