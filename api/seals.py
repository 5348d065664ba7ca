"""Event ids that are resume tokens, sealed.

A raw token names the document that changed, which may be another tenant's, and a forged one would reach
the database. AES-SIV (RFC 5297) is deterministic: the same event has the same id at every replica and
on every replay.
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from api.problems import BadRequest

KEY_NAME = "event-ids"
KEY_BYTES = 64
_PURPOSE = [b"millrace event id 1"]


class Seals:
    """Seals and opens event ids with the installation's key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def seal(self, token: str) -> str:
        """Return the event id of a position."""
        sealed = self._cipher.encrypt(bytes.fromhex(token), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, event_id: str) -> str:
        """Return the position in an event id.

        Raises:
            BadRequest: it was not made here.
        """
        try:
            sealed = base64.urlsafe_b64decode(event_id + "=" * (-len(event_id) % 4))
            return self._cipher.decrypt(sealed, _PURPOSE).hex().upper()
        except (ValueError, binascii.Error, InvalidTag) as error:
            raise BadRequest(
                "Last-Event-ID is not an event id of this server; leave it out to start afresh"
            ) from error
