"""Secret params, such as a document's password: encrypted before they are stored.

AES-SIV (RFC 5297) is deterministic: the same secret of the same tenant, stage and param is stored as the same
text, so that a repeated submission, and a stage that is run again, are still seen to be the same. That much,
and a secret's length, is what the database tells of it.
"""

import base64
import json
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

from pipeline.errors import KeyMissing, SubmissionError

if TYPE_CHECKING:  # a worker that has no key does not load it
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

SETTING = "MILLRACE_SECRET_KEY"
_SEALED = "millrace-sealed-1:"
"""Before a stored value that is encrypted."""
_KEY_BYTES = 32
_PURPOSE = b"millrace secret param 1"


def secret_keys(text: str) -> list[bytes]:
    """Return the keys in a setting: base64, parted by commas, each of 32 bytes or more.

    Raises:
        ValueError: they are not that; the message has nothing of them.
    """
    try:
        decoded = [_decoded(each) for each in text.split(",")]
    except ValueError:
        decoded = []
    if not decoded or min(map(len, decoded)) < _KEY_BYTES:
        raise ValueError(
            "is one key or more, parted by commas, each 32 random bytes in base64: `openssl rand -base64 32`"
        )
    return decoded


def _decoded(key: str) -> bytes:
    """Decode base64 of either alphabet, padded or not."""
    plain = key.strip().rstrip("=").replace("+", "-").replace("/", "_")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)


class Vault:
    """Seals and opens secret params with the keys of the installation; the first one seals."""

    def __init__(self, keys: SecretStr | None) -> None:
        self._keys = keys

    def sealed(
        self, tenant: str, params: Mapping[str, Mapping[str, Any]], secret: Mapping[str, Collection[str]]
    ) -> dict[str, dict[str, Any]]:
        """Return params, by stage, as they may be stored.

        Those that are `secret`, by stage, are encrypted, and so is every `SecretStr`.

        Raises:
            SubmissionError: there is one, and no key.
        """
        return {
            stage: {
                name: self._sealed(tenant, stage, name, value, named=name in secret.get(stage, ()))
                for name, value in values.items()
            }
            for stage, values in params.items()
        }

    def opened(self, tenant: str, params: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        """Return stored params with what is sealed decrypted.

        Raises:
            KeyMissing: this process has no key that opens it.
        """
        if not params:
            return params
        found = {
            stage: [name for name, value in values.items() if _is_sealed(value)]
            for stage, values in params.items()
            if isinstance(values, Mapping)  # an insert may bring anything; its check comes later
        }
        opened = {
            stage: {
                **params[stage],
                **{each: self._opened(tenant, stage, each, params[stage][each]) for each in names},
            }
            for stage, names in found.items()
            if names
        }
        return {**params, **opened} if opened else params

    def _sealed(self, tenant: str, stage: str, name: str, value: Any, *, named: bool) -> Any:
        if isinstance(value, SecretStr):
            named, value = True, value.get_secret_value()
        if not named or value is None:  # None is none, or takes one away
            return value
        if not self._ciphers:
            raise SubmissionError(
                f"the param `{name}` of stage {stage!r} is a secret, which is stored encrypted only: "
                f"set {SETTING} for this process and for the workers to one key, 32 random bytes in base64"
            )
        sealed = self._ciphers[0].encrypt(json.dumps(value).encode(), _bound(tenant, stage, name))
        return _SEALED + base64.urlsafe_b64encode(sealed).decode()

    def _opened(self, tenant: str, stage: str, name: str, value: str) -> Any:
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            try:
                sealed = base64.urlsafe_b64decode(value.removeprefix(_SEALED))
                return json.loads(cipher.decrypt(sealed, _bound(tenant, stage, name)))
            except (InvalidTag, ValueError):
                continue
        has = "has none" if not self._ciphers else "has another"
        raise KeyMissing(
            f"the param `{name}` of stage {stage!r} is encrypted with a key of which this process {has}: "
            f"add that key to {SETTING}, restart, and retry the job"
        )

    @cached_property
    def _ciphers(self) -> "list[AESSIV]":
        if self._keys is None:
            return []
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        keys = secret_keys(self._keys.get_secret_value())
        return [AESSIV(HKDF(SHA256(), 64, salt=None, info=_PURPOSE).derive(key)) for key in keys]


def secret_fields(params: type[BaseModel]) -> frozenset[str]:
    """Return the names, aliases too, of a params model's fields that have a secret anywhere in their type."""
    return frozenset(
        name
        for field, info in params.model_fields.items()
        if _holds_secret(info.annotation, {params})
        for name in (field, info.alias, info.validation_alias)
        if isinstance(name, str)
    )


def _holds_secret(hint: Any, seen: set[Any]) -> bool:
    if hint in (SecretStr, SecretBytes):
        return True
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        if hint in seen:
            return False
        seen.add(hint)
        return any(_holds_secret(each.annotation, seen) for each in hint.model_fields.values())
    return any(_holds_secret(each, seen) for each in get_args(hint))


def _bound(tenant: str, stage: str, name: str) -> list[bytes]:
    """Return what a secret is bound to: moved elsewhere, it does not open."""
    return [_PURPOSE, tenant.encode(), stage.encode(), name.encode()]


def _is_sealed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_SEALED)
