"""A master key in a KMS: nobody holds it, and everything opens and restores all the same."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.key_findings import key_findings
from include.backup.actions.providers import provider_of
from include.backup.actions.rotate_key import rotate_key
from include.backup.errors import ConfigurationInvalid, KeyUnusable, StorageUnreachable
from include.backup.policy.model import Method
from include.backup.repository import lock
from include.backup.storage.kms import Kms, make_kms
from include.backup.storage.s3_client import S3Access
from include.backup.vault.keyring import Envelope, KeyContext, LocalKey, load_secret
from include.backup.vault.kms import KmsKey
from include.backup.vault.offline import new_pair
from tests.damage.site import Site
from tests.integration.cli.shell import ENTRY, ROOT, Shell
from tests.servers.kms import REGION, KmsServer, kms_server
from tests.unit.vault.test_unwrap import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
HERE = KeyContext(dataset="crm", generation="20261101T010000Z")
THERE = KeyContext(dataset="mail", generation="20261101T010000Z")
SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def server() -> Iterator[KmsServer]:
    """One for all tests."""
    with kms_server() as running:
        yield running


@pytest.fixture
def kms(server: KmsServer) -> Kms:
    """It, as Holdfast reaches it."""
    return make_kms(access(server.url))


def access(url: str) -> S3Access:
    return S3Access(
        access_key="kms",
        secret_key="secret",
        session_token="",
        region=REGION,
        endpoint_url=url,
        attempts=1,
        connect_seconds=2.0,
        read_seconds=5.0,
    )


@pytest.fixture
def site(tmp_path: Path, server: KmsServer, kms: Kms, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A dataset whose master key lies there."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)
    made = Site(tmp_path)
    made.kms = kms
    made.key = f"{{provider: aws_kms, connection: backup_kms, key_id: '{server.make_key()}'}}"
    made.write(a="of crm")
    return made


def test_what_it_wraps_opens_in_its_place_alone(server: KmsServer, kms: Kms) -> None:
    """Not for another dataset, not with another key, not when a bit was changed."""
    key = KmsKey(server.make_key(), kms)
    wrapped = key.wrap(SECRET, HERE)
    assert SECRET not in wrapped
    assert key.unwrap(wrapped, HERE) == SECRET
    for provider, bytes_, context in (
        (key, wrapped, THERE),
        (KmsKey(server.make_key(), kms), wrapped, HERE),
        (key, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), HERE),
    ):
        with pytest.raises(KeyUnusable, match=r"does not open this|refuses to decrypt") as refused:
            provider.unwrap(bytes_, context)
        assert f"{context.dataset}/{context.generation}" in refused.value.message
    gone = server.make_key().rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    with pytest.raises(KeyUnusable, match="refuses to encrypt") as refused:
        KmsKey(gone, kms).wrap(SECRET, HERE)
    assert refused.value.hint == "correct key_id, its region and its account"


def test_a_kms_that_does_not_answer_is_worth_another_try() -> None:
    """As a store that does not; one far away in the clear is refused."""
    with pytest.raises(StorageUnreachable, match="KMS cannot be reached"):
        make_kms(access("http://127.0.0.1:9")).encrypt("arn", SECRET, {})
    with pytest.raises(ConfigurationInvalid, match="KMS"):
        make_kms(access("http://10.0.0.1:4566"))


def test_a_dataset_lives_on_it(site: Site) -> None:
    """Backups, restores and checks; then it moves there from a key of our own, and back."""
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    site.write(b="more")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    assert site.restored() == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    in_kms, key = provider_of(site.setting()), site.key
    assert site.place().state().generations[0].key == in_kms.master_key_id
    site.key = "{provider: local, connection: backup_master_key}"
    with pytest.raises(KeyUnusable):
        site.restored()
    rotate_key(site.setting(), "crm", in_kms)
    assert site.restored() == site.content()
    own, site.key = LocalKey.of_text(site.keys["backup_master_key"]), key
    rotate_key(site.setting(), "crm", own)
    assert site.restored() == site.content()
    assert back_up(site.setting(), "crm", method=Method.FULL).ok


def test_a_stranger_opens_it_with_what_kms_answers(
    site: Site, server: KmsServer, tmp_path: Path
) -> None:
    """Or with the offline key, when there is no KMS any more; without either it says what to do."""
    assert [one.key for one in key_findings(site.setting())] == ["kms-alone"]
    private, public = new_pair()
    site.key = site.key.replace("}", f", offline_recipient: '{public.hex()}'}}")
    assert list(key_findings(site.setting())) == []
    assert back_up(site.setting(), "crm", method=Method.FULL).ok
    [info] = site.memory.list("datasets/crm/keys/")
    data = site.memory.load(info.name)
    envelope = Envelope.parse(data)
    context = KeyContext(dataset="crm", generation=envelope.generation)
    password = load_secret(site.place().folder, provider_of(site.setting()), context).password
    code, printed, said = unwrap(tmp_path, data, "")
    assert (code, printed) == (1, "")
    told = re.search(r"--encryption-context (\S+) ", said)
    assert told is not None
    answer = server.client().decrypt(
        CiphertextBlob=envelope.wrapped,
        EncryptionContext=dict(pair.split("=") for pair in told[1].split(",")),
    )
    plain = base64.b64encode(answer["Plaintext"]).decode()
    assert unwrap(tmp_path, data, plain, "--kms")[:2] == (0, password)
    assert unwrap(tmp_path, data, base64.b64encode(private).decode())[:2] == (0, password)


def test_by_the_command_line(server: KmsServer, tmp_path: Path) -> None:
    """With a connection of type aws; another key of the same KMS by its ARN."""
    (tmp_path / "config").mkdir()
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "config" / "policy.yaml").write_text(policy)
    (tmp_path / "vault").mkdir()
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "customers.csv").write_text("id,name\n1,Ada\n")
    shell = Shell(tmp_path)
    del shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"]
    shell.environment["AIRFLOW_CONN_BACKUP_KMS"] = server.variable()
    first, second = server.make_key(), server.make_key()

    def configured(arn: str) -> None:
        shell.datasets(ENTRY)
        path = tmp_path / "config" / "datasets.yaml"
        local = "{provider: local, connection: backup_master_key}"
        in_kms = f"{{provider: aws_kms, connection: backup_kms, key_id: '{arn}'}}"
        path.write_text(path.read_text().replace(local, in_kms))

    configured(first)
    assert "ok    master key" in shell("doctor", code=None)
    shell("back-up", "crm")
    configured(second)
    told = shell("restore", "crm", "--to", "no", code=1)
    assert "opens with master key" in told
    assert "and aws_kms" in told
    shell("keys", "rotate", "--old", first)
    shell("restore", "crm", "--to", "back", "--reason", "a test")
    assert (tmp_path / "back" / "customers.csv").read_text() == "id,name\n1,Ada\n"
    assert "secret" not in shell("keys", "list")
