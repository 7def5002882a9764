"""Print the password of one repository of this vault, for `restic -p`. RECOVERY.txt has the rest.

    python3 -I unwrap.py ENVELOPE > password

Reads from standard input, in base64, the master key or the offline key; with --kms what AWS KMS
has decrypted. Needs Python and `cryptography`; sends nothing anywhere, and writes to no file.
"""

import base64
import json
import shlex
import sys
from getpass import getpass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FROM_KMS = """it opens with key {id} of AWS KMS. With kms:Decrypt on it, and its --region:
  printf %s {wrapped} | base64 -d | aws kms decrypt --ciphertext-blob fileb:///dev/stdin \\
    --encryption-context {context} --query Plaintext --output text \\
    | python3 -I unwrap.py {path} --kms > password"""


def secret_of(path: str, key: bytes, *, from_kms: bool) -> bytes:
    """The 32 bytes that an envelope holds."""
    envelope = json.loads(Path(path).read_bytes())
    of, wanted = f"{envelope['dataset']}/{envelope['generation']}", envelope["master_key_id"]
    wrapped, offline = base64.b64decode(envelope["wrapped"]), envelope.get("offline")
    print(f"{path}: of {of!a}, for {envelope['provider']!a} {wanted!a}", file=sys.stderr)
    if from_kms:
        return key
    if offline and len(key) == 32:
        private, sent = X25519PrivateKey.from_private_bytes(key), base64.b64decode(offline["sent"])
        own = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        if own == base64.b64decode(offline["recipient"]):
            made = HKDF(SHA256(), 32, salt=sent + own, info=f"holdfast offline key {of}".encode())
            opener = made.derive(private.exchange(X25519PublicKey.from_public_bytes(sent)))
            return aes_key_unwrap(opener, base64.b64decode(offline["wrapped"]))
    if envelope["provider"] == "aws_kms":
        place = shlex.quote("dataset=" + ascii(of)[1:-1].replace("/", ",generation="))
        blob, file = base64.b64encode(wrapped).decode(), shlex.quote(path)
        sys.exit(FROM_KMS.format(path=file, id=ascii(wanted), wrapped=blob, context=place))
    if (given := sha256(b"holdfast master key" + key).hexdigest()[:16]) != wanted:
        sys.exit(f"it opens with master key {wanted!a}, and {given} was given")
    return aes_key_unwrap(key, wrapped)


if __name__ == "__main__":
    text = getpass("key, in base64: ") if sys.stdin.isatty() else sys.stdin.read()
    try:
        given = base64.b64decode("".join(text.split()), validate=True)
        secret = secret_of(sys.argv[1], given, from_kms=sys.argv[2:] == ["--kms"])
        sys.stdout.write(secret.hex() if len(secret) == 32 else sys.exit("that is no key"))
    except (InvalidUnwrap, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"no key, or no whole envelope ({error!r}): another copy may have it whole")
