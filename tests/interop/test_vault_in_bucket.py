"""A vault in a bucket: its own pages lead stock restic to the repository, over TLS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.about import RESTORE_MD, ParentPoint
from include.backup.repository.repository import Repository
from include.backup.storage.s3 import S3Storage
from include.backup.vault.layout import dataset_folder, generation_folder
from tests.interop.archives import Archives
from tests.interop.survey import differences, survey
from tests.interop.test_restore_md import commands
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from tests.interop.conftest import Restic
    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration


def page_of(site: Archives, outcome: Outcome) -> str:
    """What a recovery point says of its restore."""
    folder = generation_folder(dataset_folder(site.storage, "crm"), outcome.details["generation"])
    repository = Repository.open(folder, site.password(outcome))
    repository.load_index()
    snapshot = repository.load_snapshot(bytes.fromhex(outcome.details["snapshot"]))
    page = ParentPoint(repository, snapshot).load(RESTORE_MD)
    assert page is not None
    return page.decode()


def test_a_directory_comes_back_from_a_bucket(
    restic: Restic,
    rgw: Rgw,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Nothing but credentials, the CA and the password is added to the commands of the page."""
    site = Archives(tmp_path)
    bucket = rgw.make_bucket()
    site.storage = S3Storage(rgw.client(), bucket, "some/vault")
    site.vault_url = f"s3://{bucket}/some/vault', connection: 'none"  # no endpoint: the client's
    site.write(one=b"1" * 100_000, folder__two=b"2")
    outcome = site.back_up()
    page = page_of(site, outcome)
    assert "AWS_ACCESS_KEY_ID" in page
    assert "SSL_CERT_FILE" in page
    assert f"RESTIC_REPOSITORY=s3:{rgw.endpoint}/{bucket}/some/vault/datasets/crm/" in page
    target = tmp_path / "target"
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(commands(page)).replace("/where/there/is/room", str(target))],
        env={
            "PATH": f"{restic.binary.rpartition('/')[0]}:/usr/bin:/bin",
            "HOME": str(restic.home),
            "RESTIC_PASSWORD": site.password(outcome),
            "SSL_CERT_FILE": str(rgw.ca_path),
            "AWS_ACCESS_KEY_ID": rgw.owner.access_key,
            "AWS_SECRET_ACCESS_KEY": rgw.owner.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert differences(survey(site.data), survey(target / "crm")) == []
