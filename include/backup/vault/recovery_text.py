"""RECOVERY.txt: what a stranger does who has this vault, the master key and a plain Debian.

Lines that begin with four spaces are commands, and the tests run them as they stand. The text holds
no date and no name of a dataset: what has not changed is stored once.
"""

from __future__ import annotations

from shlex import quote
from typing import Final

_BUCKET: Final = "s3:"


def recovery_text(
    *, url: str, restic_address: str, name: str, unwrap: str, unwrap_sha256: str
) -> bytes:
    """The text for one vault.

    Args:
        url: the address of the vault, as in ``s3://bucket/prefix``.
        restic_address: the same for stock restic.
        name: the name of this text; of several the highest number counts.
        unwrap: the name of the script that belongs to it.
        unwrap_sha256: its digest, in hex.
    """
    in_bucket = restic_address.startswith(_BUCKET)
    address = {
        "url": url,
        "vault": quote(restic_address.rstrip("/")),
        "s3": quote(url.rstrip("/")),
        "endpoint": quote(endpoint_of(restic_address)) if in_bucket else "",
        "name": name,
        "unwrap": unwrap,
        "sha256": unwrap_sha256,
    }
    steps = _BUCKET_STEPS if in_bucket else _FOLDER_STEPS
    return f"{_HEAD}\n{steps}\n{_TAIL}".format(**address).encode()


def endpoint_of(restic_address: str) -> str:
    """The address of the store, as in ``https://s3.example.com``, by the one for restic."""
    scheme, _, rest = restic_address.removeprefix(_BUCKET).partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


_HEAD: Final = """\
RECOVERY: how to get the data of this vault back with its master key alone
==========================================================================

Vault {url}

You need this vault, its master key (44 letters, digits, + / = on the recovery sheet) and a Debian
or the like. Holdfast, which made these backups, is not needed, nor whoever ran it: each backup is
an ordinary repository of the program restic. Nothing that you do here changes the vault.

Trust your recovery sheet more than this vault: whoever could write here may have left a script
that steals the key. {unwrap} must have the SHA-256 that stands on the sheet, in the RUNBOOK and
in the signed ledger of each dataset. When it was saved that was

{sha256}

and sixty lines long: without a sheet to compare it with, read them.

RECOVERY-2.txt, RECOVERY-3.txt … beside {name} are of later releases of Holdfast, or for another
address: take the one with the highest number whose script has a digest that you trust.

1. Tools, and a place in memory for what is secret; it is gone when the machine is switched off.

    command -v restic && python3 -c "import cryptography" \\
      || sudo apt install restic python3-cryptography
    umask 077 && WORK=$(mktemp -d /dev/shm/rescue.XXXXXX)
"""
_FOLDER_STEPS: Final = """\
2. Where the vault is (`VAULT=/somewhere` before, if it is elsewhere by now). Take the script, and
   compare its digest before you go on. `-I`, below, keeps Python from loading what lies beside it.

    VAULT=${{VAULT:-{vault}}}
    cp "$VAULT"/{unwrap} "$WORK/unwrap.py"
    sha256sum "$WORK/unwrap.py"

3. Choose a dataset (`DATASET=name` before, else it is the first), and its newest generation: the
   last one that has a snapshot. `GENERATION=…` takes an older one.

    ls "$VAULT/datasets"
    DATASET=${{DATASET:-$(ls "$VAULT/datasets" | head -n 1)}}
    whole() {{ (cd "$VAULT/datasets/$DATASET/generations" && ls -d */snapshots/*); }}
    whole
    GENERATION=${{GENERATION:-$(whole | tail -n 1 | cut -d / -f 1)}}
    mkdir "$WORK/keys" && cp "$VAULT/datasets/$DATASET/keys/$GENERATION"/*.json "$WORK/keys"
"""
_BUCKET_STEPS: Final = """\
2. What may read the bucket, in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
   AWS_DEFAULT_REGION; for a certificate authority of your own AWS_CA_BUNDLE, and for restic
   SSL_CERT_FILE. The program aws (`apt install awscli`) fetches what is small; restic reads the
   rest itself. Compare the digest before you go on. `-I`, below, keeps Python from loading what
   lies beside the script.

    VAULT=${{VAULT:-{vault}}} S3=${{S3:-{s3}}}
    s3() {{ aws --endpoint-url "${{ENDPOINT:-{endpoint}}}" s3 "$@"; }}
    s3 cp "$S3/{unwrap}" "$WORK/unwrap.py"
    sha256sum "$WORK/unwrap.py"

   Is it another one? Then somebody has put a version over it. The oldest version is the file:
   `aws s3api list-object-versions` names them, `aws s3api get-object --version-id …` fetches it.
   That holds for every file of this vault.

3. Choose a dataset (`DATASET=name` before, else it is the first), and its newest generation: the
   last one that has a snapshot. `GENERATION=…` takes an older one.

    folders() {{ s3 ls "$1" | awk '$1 == "PRE" {{ print $2 }}' | tr -d /; }}
    folders "$S3/datasets/"
    DATASET=${{DATASET:-$(folders "$S3/datasets/" | head -n 1)}}
    whole() {{ for one in $(folders "$S3/datasets/$DATASET/generations/"); do
      s3 ls "$S3/datasets/$DATASET/generations/$one/snapshots/" > "$WORK/snapshots" && echo "$one"
      done; }}
    GENERATION=${{GENERATION:-$(whole | tail -n 1)}}
    s3 cp --recursive "$S3/datasets/$DATASET/keys/$GENERATION/" "$WORK/keys/"
"""
_TAIL: Final = """\
4. Type the master key (spaces and line ends do no harm), then Enter and Ctrl-D.

    cat > "$WORK/key"

5. Open the envelope of the generation. While a key is being changed there are several, each named
   by the id of its key; the script says which it wants, and which it was given. An id is the first
   16 hex digits of SHA-256("holdfast master key" + the 32 bytes of the key).

    for one in "$WORK"/keys/*.json; do
      python3 -I "$WORK/unwrap.py" "$one" < "$WORK/key" > "$WORK/password" && break
    done
    test -s "$WORK/password" && echo opened

   If it names AWS KMS, the key lies there and nobody can type it: run the command that it prints
   in "$WORK", with a role that has kms:Decrypt. Or, if the sheet has an offline key, type that one.

6. Look at what is there, and restore it to a place with room (`TARGET=/somewhere` before;
   `--include` takes a part of it).

    export RESTIC_REPOSITORY="$VAULT/datasets/$DATASET/generations/$GENERATION"
    export RESTIC_PASSWORD_FILE="$WORK/password"
    restic snapshots --no-lock
    TARGET=${{TARGET:-/var/tmp/restored}}
    restic restore latest --no-lock --target "$TARGET"

   The data is in $TARGET/$DATASET. RESTORE.md says what it is, and has the commands that come next
   for this very data, as to load a database. An older state: `restic restore ID`, by the list.
   `restic check --no-lock --read-data` reads every byte.

    cat "$TARGET/.holdfast/RESTORE.md"

7. Away with what is secret, once everything is back.

    cd / && rm -r "$WORK"

What else lies here. datasets/NAME/ledger: signed records of all that was done; evidence, which no
restore needs. datasets/NAME/replica.json: this is a copy of another vault, and as good for you.
policy: the rules that were in force. A file that restic calls damaged may be whole in another
copy of this vault, or be an older version in its bucket.
"""
