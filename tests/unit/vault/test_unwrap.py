"""unwrap.py, run as a stranger runs it: alone in an empty folder, with `cryptography` alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from include.backup.evidence.fields import canonical
from include.backup.vault.keyring import (
    Envelope,
    KeyContext,
    LocalKey,
    RepositorySecret,
    envelope_of,
    new_envelope,
)
from include.backup.vault.offline import new_pair, open_offline
from include.backup.vault.rescue import unwrap_script
from tests.unit.vault.samples import NOW

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = KeyContext(dataset="crm", generation="20261101T010000Z")
WHERE = "crm/20261101T010000Z"
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
# Whatever a stranger's Python may lack is refused: the project, and every package but two.
ALONE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first not in sys.stdlib_module_names | {"cryptography", "cffi", "_cffi_backend"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def text(key: bytes) -> str:
    """A key as sheets have it."""
    return base64.b64encode(key).decode()


def unwrap(folder: Path, envelope: bytes, given: str, *more: str) -> tuple[int, str, str]:
    """Exit code, what is printed, and what is said."""
    (folder / "unwrap.py").write_bytes(unwrap_script())
    (folder / "envelope.json").write_bytes(envelope)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, "unwrap.py", "envelope.json", *more],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": "", "PATH": "/usr/bin:/bin"},
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_master_key_gives_the_password_and_nothing_else(tmp_path: Path) -> None:
    """Without a line end; with spaces and line ends in the key, as a sheet groups it."""
    envelope, secret = new_envelope(LocalKey(KEY), CONTEXT, now=NOW)
    grouped = f" {text(KEY)[:11]}  {text(KEY)[11:30]}\n{text(KEY)[30:]}\n"
    for given in (text(KEY), grouped):
        code, printed, said = unwrap(tmp_path, envelope.to_bytes(), given)
        assert (code, printed) == (0, secret.password), said
        assert WHERE in said
        assert envelope.master_key_id in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["envelope.json", "unwrap.py"]


def test_another_key_is_told_which_one_it_takes(tmp_path: Path) -> None:
    """By both ids; no password is printed, and no key."""
    envelope, _ = new_envelope(LocalKey(KEY), CONTEXT, now=NOW)
    code, printed, said = unwrap(tmp_path, envelope.to_bytes(), text(OTHER))
    assert (code, printed) == (1, "")
    assert f"opens with master key '{LocalKey(KEY).master_key_id}'" in said
    assert f"{LocalKey(OTHER).master_key_id} was given" in said
    assert text(OTHER) not in said


def spoilt() -> list[tuple[str, bytes, str]]:
    """What is wrong, the envelope, the key."""
    envelope, _ = new_envelope(LocalKey(KEY), CONTEXT, now=NOW)
    whole = envelope.to_bytes()
    wrapped = bytes([envelope.wrapped[0] ^ 1]) + envelope.wrapped[1:]
    changed = json.loads(whole) | {"wrapped": text(wrapped)}
    short = json.loads(whole) | {"wrapped": text(envelope.wrapped[:24])}
    return [
        ("cut", whole[: len(whole) // 2], text(KEY)),
        ("empty", b"", text(KEY)),
        ("another file", b'{"version": 1}', text(KEY)),
        ("no object", b"[]", text(KEY)),
        ("a flipped bit", canonical(changed), text(KEY)),
        ("a shorter secret", canonical(short), text(KEY)),
        ("no base64", whole, "this is no key!"),
        ("half a key", whole, text(KEY[:16])),
        ("nothing", whole, ""),
    ]


@pytest.mark.parametrize(("what", "envelope", "given"), spoilt(), ids=lambda one: str(one)[:16])
def test_what_is_not_whole_ends_in_one_line(
    tmp_path: Path, what: str, envelope: bytes, given: str
) -> None:
    """No password, no traceback, no key in what is said."""
    code, printed, said = unwrap(tmp_path, envelope, given)
    assert (code, printed) == (1, ""), what
    assert "Traceback" not in said
    assert not given or given not in said


def test_the_offline_key_opens_it_as_well(tmp_path: Path) -> None:
    """One envelope, two keys; the offline key of another opens nothing."""
    private, public = new_pair()
    envelope, secret = new_envelope(LocalKey(KEY), CONTEXT, now=NOW, offline=public)
    for key in (KEY, private):
        assert unwrap(tmp_path, envelope.to_bytes(), text(key))[:2] == (0, secret.password)
    code, printed, _ = unwrap(tmp_path, envelope.to_bytes(), text(new_pair()[0]))
    assert (code, printed) == (1, "")
    assert envelope.offline is not None
    assert open_offline(envelope.offline, private, WHERE) == secret.secret
    assert Envelope.parse(envelope.to_bytes()) == envelope


def test_an_offline_copy_opens_in_its_place_alone(tmp_path: Path) -> None:
    """Put into the envelope of another generation it opens no more."""
    private, public = new_pair()
    envelope, _ = new_envelope(LocalKey(KEY), CONTEXT, now=NOW, offline=public)
    moved = json.loads(envelope.to_bytes()) | {"generation": "20261201T010000Z"}
    code, printed, said = unwrap(tmp_path, canonical(moved), text(private))
    assert (code, printed) == (1, "")
    assert "InvalidUnwrap" in said


class InKms:
    """A provider whose key nobody holds."""

    name = "aws_kms"
    master_key_id = "0123456789abcdef"

    def wrap(self, secret: bytes, context: KeyContext) -> bytes:  # noqa: ARG002 of the contract
        """Anything but the secret."""
        return bytes(byte ^ 0xFF for byte in secret)

    unwrap = wrap


def test_of_a_key_in_kms_it_says_what_to_run(tmp_path: Path) -> None:
    """The command, with the very bytes and the context; what comes out of it is the password."""
    secret = RepositorySecret(secret=bytes(range(32)))
    envelope = envelope_of(secret, InKms(), CONTEXT, now=NOW)
    for given in ("", text(KEY)):
        code, printed, said = unwrap(tmp_path, envelope.to_bytes(), given)
        assert (code, printed) == (1, "")
        assert "dataset=crm,generation=20261101T010000Z" in said
        assert f"printf %s {text(envelope.wrapped)} | base64 -d | aws kms decrypt" in said
        assert "python3 -I unwrap.py envelope.json --kms" in said
    code, printed, _ = unwrap(tmp_path, envelope.to_bytes(), text(secret.secret) + "\n", "--kms")
    assert (code, printed) == (0, secret.password)


def test_no_name_in_an_envelope_reaches_the_shell(tmp_path: Path) -> None:
    """Whoever can write envelopes cannot write the command that is to be pasted."""
    secret = RepositorySecret(secret=bytes(range(32)))
    document = json.loads(envelope_of(secret, InKms(), CONTEXT, now=NOW).to_bytes())
    hostile = document | {"dataset": "x; rm -r ~ \x1b[2J", "master_key_id": "$(id)\x1b[2J"}
    _, _, said = unwrap(tmp_path, json.dumps(hostile).encode(), "")
    assert r"--encryption-context 'dataset=x; rm -r ~ \x1b[2J,generation=2026" in said
    assert "\x1b" not in said
