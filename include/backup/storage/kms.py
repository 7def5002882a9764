"""AWS KMS: a few bytes encrypted by a key that never leaves it, and what its refusals mean.

Source: AWS KMS API Reference, Encrypt and Decrypt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid, KeyUnusable, StorageUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.storage.s3_client import S3Access

_OTHER: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_AGAIN: Final = frozenset({
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "LimitExceededException",
    "Throttling",
    "ThrottlingException",
})
_HINTS: Final = {
    "AccessDeniedException": "the role needs kms:Encrypt and kms:Decrypt on the key",
    "DisabledException": "enable the key",
    "KMSInvalidStateException": "is the key about to be deleted? Cancel that",
    "NotFoundException": "correct key_id, its region and its account",
    "UnrecognizedClientException": "correct the credentials of the connection",
}


class Kms:
    """Encrypts and decrypts with keys of one KMS."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  boto3's have no types
        self._client = client

    def encrypt(self, key_id: str, data: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypt at most 4,096 bytes; `context` has to be given again to decrypt them.

        Raises:
            KeyUnusable: KMS refuses.
            StorageUnreachable: no usable answer.
        """
        answer = self._ask("encrypt", key_id, Plaintext=data, EncryptionContext=dict(context))
        return bytes(answer["CiphertextBlob"])

    def decrypt(self, key_id: str, data: bytes, context: Mapping[str, str]) -> bytes:
        """Decrypt what `encrypt` made with the same key and context.

        Raises:
            as `encrypt`.
        """
        answer = self._ask("decrypt", key_id, CiphertextBlob=data, EncryptionContext=dict(context))
        return bytes(answer["Plaintext"])

    def _ask(self, what: str, key_id: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  heavy

        try:
            answer: Mapping[str, Any] = getattr(self._client, what)(KeyId=key_id, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _AGAIN:
                raise StorageUnreachable(f"KMS does not {what} now ({code})") from None
            if code in _OTHER:
                raise KeyUnusable(
                    f"KMS key {key_id} does not open this: it is another's, or was changed",
                    hint="another copy of the vault may have it whole",
                ) from None
            raise KeyUnusable(
                f"KMS key {key_id} refuses to {what} ({code})", hint=_HINTS.get(code, "")
            ) from None
        except BotoCoreError as error:
            raise StorageUnreachable(
                f"KMS cannot be reached ({type(error).__name__})",
                hint="without it no new generation is made, and none can be opened",
            ) from None
        return answer


def make_kms(access: S3Access) -> Kms:
    """A KMS with the credentials of a connection of type ``aws``.

    Raises:
        ConfigurationInvalid: boto3 cannot make a client of this.
    """
    import boto3  # noqa: PLC0415  heavy
    from botocore.config import Config  # noqa: PLC0415  heavy
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  heavy

    try:
        session = boto3.Session(
            aws_access_key_id=access.access_key or None,
            aws_secret_access_key=access.secret_key or None,
            aws_session_token=access.session_token or None,
            region_name=access.region or None,
            profile_name=access.profile or None,
        )
        client = session.client(
            "kms",
            endpoint_url=access.endpoint_url or None,
            verify=access.verify,
            config=Config(
                connect_timeout=access.connect_seconds,
                read_timeout=access.read_seconds,
                retries={"mode": "standard", "total_max_attempts": access.attempts},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationInvalid(f"no KMS client can be made: {error}") from error
    return checked(client)


def checked(client: Any) -> Kms:  # noqa: ANN401  boto3's have no types
    """A KMS that is spoken to over TLS, or on this machine's loopback.

    Raises:
        ConfigurationInvalid: secrets would travel in the clear.
    """
    from include.backup.storage.s3_client import checked_transport  # noqa: PLC0415  heavy

    checked_transport(client, insecure_reason="", whose="KMS")
    return Kms(client)
