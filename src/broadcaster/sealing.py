"""What is said on encrypted channels, sealed and opened: NaCl's secret boxes, as Pusher has them.

Source: <https://pusher.com/docs/channels/using_channels/encrypted-channels/>.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from broadcaster.encoding import encode
from broadcaster.errors import MissingExtra

try:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox
except ImportError as error:
    raise MissingExtra("pynacl", extra="encrypted") from error

__all__ = ["seal", "unseal"]


def seal(secret: str, data: str) -> str:
    """Return what is sent in place of *data* to those who share *secret*, the Base64 of 32 bytes."""
    box = SecretBox(b64decode(secret)).encrypt(data.encode())
    return encode({"nonce": b64encode(box.nonce).decode(), "ciphertext": b64encode(box.ciphertext).decode()})


def unseal(secret: str, sealed: object) -> str:
    """Return the data in *sealed*, as decoded from JSON; raise `ValueError` unless it was with *secret*."""
    match sealed:
        case {"nonce": str(nonce), "ciphertext": str(ciphertext)}:
            try:
                return SecretBox(b64decode(secret)).decrypt(b64decode(ciphertext), b64decode(nonce)).decode()
            except (CryptoError, binascii.Error) as error:
                raise ValueError("sealed with another secret, or changed on its way") from error
    raise ValueError("not sealed")
