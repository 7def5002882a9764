"""A bucket by the command line, as the README and the runbook tell it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.shell import ENTRY, ROOT, Shell
from tests.integration.storage.test_expiry_on_s3 import documented_policy
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.servers.rgw import Rgw

pytestmark = pytest.mark.integration

SOURCES = (ROOT / "SOURCES.md").read_text(encoding="utf-8")
SECTION = SOURCES.partition("## Buckets\n")[2].partition("\n## ")[0]


def block(language: str) -> str:
    """The block of the section that is marked so."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_leads_to_a_backup_of_a_bucket_and_back(rgw: Rgw, shell: Shell) -> None:  # noqa: F811
    """Its entry, its connection, its commands, its rights; and the way back of the runbook."""
    bucket, client = rgw.make_bucket("versioned"), rgw.client()
    client.put_object(
        Bucket=bucket, Key="customers/4711/a.pdf", Body=b"signed", Tagging="k=v", ContentType="a/b"
    )
    statements = json.loads(block("json"))["Statement"]
    rgw.grant(bucket, actions=tuple(action for one in statements for action in one["Action"]))
    (shell.site / "vault").mkdir()
    entry = block("yaml").replace("example-uploads", bucket)
    shell.datasets(ENTRY + entry.replace("{", "{{").replace("}", "}}"))
    extra = {"region_name": REGION, "endpoint_url": rgw.endpoint, "verify": str(rgw.ca_path)}
    for old, new in (
        ("ACCESS KEY", rgw.role.access_key),
        ("SECRET KEY", rgw.role.secret_key),
        ('{"region_name": "eu-west-1"}', json.dumps(extra)),
    ):
        assert old in block("bash")
        [line] = re.findall(r"^export (\S+)='(.*)'$", block("bash"), re.MULTILINE)
        shell.environment.setdefault(*line)
        shell.environment[line[0]] = shell.environment[line[0]].replace(old, new)
    told = shell("doctor")
    assert (
        f"ok    dataset uploads: s3://{bucket}/customers: listed and read, with tags; "
        "it keeps versions: read as of one instant\n" in told
    )
    assert "KEPT" in shell("back-up", "uploads")
    shell("restore", "uploads", "--to", f"{shell.site}/files")
    assert (shell.site / "files/4711/a.pdf").read_bytes() == b"signed"
    another = rgw.make_bucket()
    shell.environment["AIRFLOW_CONN_WRITER"] = json.dumps({
        "conn_type": "aws",
        "login": rgw.owner.access_key,
        "password": rgw.owner.secret_key,
        "extra": extra,
    })
    to = f"connection:writer/{another}/back"
    assert "1 object, 6 bytes" in shell("restore", "uploads", "--to", to)
    assert "holds objects; hint" in shell("restore", "uploads", "--to", to, code=1)
    found = client.get_object(Bucket=another, Key="back/4711/a.pdf")
    assert (found["Body"].read(), found["ContentType"], found["TagCount"]) == (b"signed", "a/b", 1)
    other = rgw.make_bucket()
    program = ROOT / "include/backup/sources/s3/put_objects.py"
    subprocess.run(
        [sys.executable, program, f"{shell.site}/files", f"s3://{other}/customers"],
        env={
            "AWS_ACCESS_KEY_ID": rgw.owner.access_key,
            "AWS_SECRET_ACCESS_KEY": rgw.owner.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": rgw.endpoint,
            "AWS_CA_BUNDLE": str(rgw.ca_path),
        },
        check=True,
    )
    found = client.get_object(Bucket=other, Key="customers/4711/a.pdf")
    assert (found["Body"].read(), found["ContentType"], found["TagCount"]) == (b"signed", "a/b", 1)


def test_doctor_tells_what_is_wrong_with_a_bucket(rgw: Rgw, shell: Shell) -> None:  # noqa: F811
    """A connection that is not there, one in clear, a bucket that is not there; no secret."""
    (shell.site / "vault").mkdir()
    entries = ENTRY
    for name, extra in (
        ("absent", f"connection: aws, endpoint_url: '{rgw.endpoint}'"),
        ("clear", "connection: aws, endpoint_url: 'http://s3.example.com'"),
        ("unknown", "connection: nobody"),
    ):
        entries += (
            f"  {name}: {{{{class: critical, owner: a@example.com, "
            f"source: {{{{type: s3, url: 's3://no-such-bucket-{name}', {extra}}}}}}}}}\n"
        )
    shell.datasets(entries)
    shell.environment["AIRFLOW_CONN_AWS"] = json.dumps({
        "conn_type": "aws",
        "login": rgw.owner.access_key,
        "password": rgw.owner.secret_key,
        "extra": {"region_name": REGION, "verify": str(rgw.ca_path)},
    })
    told = shell("doctor", code=1)
    assert "dataset absent: the versioning of s3://no-such-bucket-absent/" in told
    assert "hint: correct the url of the dataset" in told
    assert "dataset clear: the dataset's connection to s3.example.com sends everything in" in told
    assert "dataset unknown: there is no connection 'nobody'" in told
    assert rgw.owner.secret_key not in told


def test_doctor_sees_what_each_role_may_do(rgw: Rgw, shell: Shell) -> None:  # noqa: F811
    """Who writes cannot delete, who expires can; without the policy of VAULTS.md it is told."""
    bucket = rgw.make_bucket("versioned")
    for name, user in (("writer", rgw.role), ("expirer", rgw.owner), ("reader", rgw.reader)):
        shell.environment[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps({
            "conn_type": "aws",
            "login": user.access_key,
            "password": user.secret_key,
            "extra": {
                "region_name": REGION,
                "verify": str(rgw.ca_path),
                "endpoint_url": rgw.endpoint,
                "config_kwargs": {"s3": {"addressing_style": "path"}},
            },
        })
    vault = f"url: 's3://{bucket}/vault', connection: writer, expirer: expirer"
    (shell.site / "config" / "datasets.yaml").write_text(
        "key: {provider: local, connection: backup_master_key}\n"
        "signing_key: {connection: backup_signing_key}\n"
        f"vaults: {{primary: {{{vault}}}}}\n"
        "datasets: {}\n"
    )
    rgw.grant(bucket)
    told = shell("doctor", code=None)
    assert "rights in vault primary: writer writes backups, and can delete them as well" in told
    rgw.client().put_bucket_policy(Bucket=bucket, Policy=documented_policy(rgw, bucket))
    told = shell("doctor", code=None)
    assert "rights in vault primary: writer cannot delete recovery points, expirer can" in told
    told = shell("doctor", "--reader", code=1)
    assert f"FAIL  vault primary: writer can write to s3://{bucket}/vault" in told
    shell.environment["AIRFLOW_CONN_WRITER"] = shell.environment["AIRFLOW_CONN_READER"]
    assert "AccessDenied" in shell("doctor", code=1)
    told = shell("doctor", "--reader")
    assert f"ok    vault primary: s3://{bucket}/vault: 0 datasets listed and read" in told
    assert "writing was refused" in told


def test_a_bucket_alone_is_enough(rgw: Rgw, shell: Shell) -> None:  # noqa: F811
    """Its address, credentials as every AWS tool takes them, and the master key."""
    bucket = rgw.make_bucket("plain")
    rgw.grant(bucket)
    extra = {"region_name": REGION, "endpoint_url": rgw.endpoint, "verify": str(rgw.ca_path)}
    shell.environment["AIRFLOW_CONN_CLOUD"] = json.dumps({
        "conn_type": "aws",
        "login": rgw.role.access_key,
        "password": rgw.role.secret_key,
        "extra": extra,
    })
    path = shell.site / "config" / "datasets.yaml"
    vault = f"{{url: 's3://{bucket}/vault', connection: cloud}}"
    path.write_text(re.sub(r"\{url: '[^']*'\}", vault, path.read_text()))
    shell("back-up", "crm")
    for name in [name for name in shell.environment if name.startswith("AIRFLOW_CONN")]:
        del shell.environment[name]
    shell.environment |= {
        "HOLDFAST_CONFIG": str(shell.site / "none"),
        "HOLDFAST_STATE": str(shell.site / "strange"),
        "HOLDFAST_MASTER_KEY": base64.b64encode(bytes([1]) * 32).decode(),
        "AWS_ACCESS_KEY_ID": rgw.role.access_key,
        "AWS_SECRET_ACCESS_KEY": rgw.role.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": rgw.endpoint,
        "AWS_CA_BUNDLE": str(rgw.ca_path),
    }
    told = shell("--vault", f"s3://{bucket}/vault", "restore", "crm", "--to", "out")
    assert "KEPT 4.2" in told
    assert (shell.site / "out" / "customers.csv").read_bytes() == (
        shell.site / "crm" / "customers.csv"
    ).read_bytes()
