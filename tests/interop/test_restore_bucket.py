"""A bucket comes back by what its recovery point says: stock restic, Python and boto3, not us."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.sources.buckets import NASTY, PREFIX, BucketSite, objects
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.interop.conftest import Restic
    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration


def test_a_bucket_comes_back_by_what_its_recovery_point_says(
    restic: Restic,
    rgw: Rgw,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Each command of RESTORE.md, where there is no Holdfast: files, then objects as before."""
    site = BucketSite(tmp_path, rgw)
    for number, key in enumerate(NASTY):
        site.put(key, b"content of %d" % number)
    site.put(
        "some/folder/dressed",
        b"d" * 100_000,
        Tagging="k=v&sp%20ace=%C3%BC%2B",
        ContentType="text/plain",
        Metadata={"customer": "4711"},
        Expires="2033-12-01",
    )
    wanted = objects(site.outside, site.bucket, f"{PREFIX}/")
    outcome = site.back_up()
    page = site.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    assert f"taken from s3://{site.bucket}/{PREFIX}" in page
    script = "\n".join(re.findall(r"^    (\S.*)$", page, re.MULTILINE))
    target, other = tmp_path / "target", rgw.make_bucket()
    script = script.replace("/where/there/is/room", str(target))
    script = script.replace("s3://a-bucket/prefix", f"s3://{other}/{PREFIX}")
    programs = [str(Path(one).parent) for one in (sys.executable, restic.binary)]
    done = subprocess.run(
        ["bash", "-euxc", script],
        env={
            "PATH": ":".join([*programs, "/usr/bin", "/bin"]),
            "HOME": str(restic.home),
            "RESTIC_PASSWORD": site.password(outcome),
            "AWS_ACCESS_KEY_ID": rgw.owner.access_key,
            "AWS_SECRET_ACCESS_KEY": rgw.owner.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": rgw.endpoint,
            "AWS_CA_BUNDLE": str(rgw.ca_path),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "crm/plain.txt").read_bytes() == b"content of 0"
    assert (target / "crm/some/folder/dressed").stat().st_mode & 0o777 == 0o600
    assert objects(site.outside, other, f"{PREFIX}/") == wanted
    assert f"{len(wanted)} objects in s3://{other}/{PREFIX}/, 0 failed" in done.stdout
    site.restic(restic, outcome, "check", "--read-data")
