"""Objects restored on trial: whatever their keys are they are whole, and each fault is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.open_scratch import open_scratch
from include.backup.actions.verify import VerifyOrder, verify
from include.backup.quality.scratch_bucket import NAME, BucketScratch
from include.backup.vault.owners import this_process
from tests.integration.sources.buckets import NASTY, BucketSite
from tests.integration.verification.planting import plant_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.actions.outcome import Outcome
    from tests.servers.rgw import BucketKind

pytestmark = pytest.mark.integration
MIB = 1 << 20
DRESSED = {
    "CacheControl": "no-cache", "ContentType": "text/plain", "Metadata": {"customer": "4711"},
    "Tagging": "k=v",
}  # fmt: skip


@pytest.fixture
def trial(site: BucketSite) -> BucketSite:
    """With a place for its restores in another bucket."""
    return in_a_bucket(site, "plain")


def in_a_bucket(site: BucketSite, kind: BucketKind) -> BucketSite:
    site.scratch = site.server.make_bucket(kind)  # type: ignore[attr-defined]
    site.verification = f"verification: {{s3: store/{left_in(site)}/trials, encrypted: true}}\n"
    return site


def left_in(site: BucketSite) -> str:
    """The bucket of the trials."""
    return str(site.scratch)  # type: ignore[attr-defined]


def left(site: BucketSite) -> list[str]:
    """Every version of everything there, and uploads that were broken off."""
    versions = site.outside.list_object_versions(Bucket=left_in(site))
    uploads = site.outside.list_multipart_uploads(Bucket=left_in(site))
    found = [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]
    return [one["Key"] for one in [*found, *uploads.get("Uploads", ())]]


def verified(site: BucketSite) -> tuple[Outcome, list[str]]:
    """Verify the dataset."""
    return verify(site.setting(), "crm", VerifyOrder())


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_objects_of_every_name_are_whole(site: BucketSite, kind: BucketKind) -> None:
    """No false alarm; nothing is left, no version either."""
    in_a_bucket(site, kind)
    for number, key in enumerate(NASTY):
        if len(key) < 900:  # the place has a longer prefix than the source
            site.put(key, b"content of %d" % number, Metadata={"number": str(number)})
    site.put("dressed", b"d", **DRESSED)
    site.put("large", bytes(range(256)) * (20 * MIB // 256))
    site.back_up()
    outcome, faults = verified(site)
    assert faults == []
    assert outcome.details["passed"]
    assert outcome.details["level"] == "facts"
    assert left(site) == []


def plant(monkeypatch: pytest.MonkeyPatch, act: Callable[[Any, str, str], object]) -> None:
    """Change what was restored before it is looked at."""

    def fault(scratch: BucketScratch) -> None:
        target = scratch.destination
        act(target.client, target.bucket, target.prefix)

    plant_in(monkeypatch, BucketScratch, fault)


def replaced(key: str, body: bytes, **more: Any) -> Callable[[Any, str, str], object]:
    return lambda client, bucket, prefix: client.put_object(
        Bucket=bucket, Key=prefix + key, Body=body, **more
    )


FAULTS: dict[str, Callable[[Any, str, str], object]] = {
    "folder/small: other content from byte 0 on": replaced("folder/small", b"SMALL"),
    "large: other content from byte": replaced("large", b"a" * 9 * MIB + b"b" * 2 * MIB),
    "folder/small: has 6 bytes, and had 5": replaced("folder/small", b"longer"),
    "dressed: other headers, metadata or tags": replaced("dressed", b"d", ContentType="text/plain"),
    "more: was not in the recovery point": replaced("more", b""),
    "folder: missing": lambda client, bucket, prefix: client.delete_object(
        Bucket=bucket, Key=f"{prefix}folder/small"
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(
    trial: BucketSite, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The recovery point is not proved, and nothing is left behind."""
    trial.put("folder/small", b"small")
    trial.put("large", b"a" * 11 * MIB)
    trial.put("dressed", b"d", **DRESSED)
    trial.back_up()
    plant(monkeypatch, FAULTS[fault])
    outcome, faults = verified(trial)
    assert len(faults) == 1
    assert fault in faults[0]
    assert outcome.sentence.startswith("BROKEN 3.4 ")
    assert left(trial) == []


def test_what_a_dead_run_has_left_goes_and_what_lives_stays(trial: BucketSite) -> None:
    """By the process that its mark names; without a mark it was half removed."""
    trial.put("a", b"a")
    trial.back_up()

    def lay(name: str, mark: dict[str, object] | None) -> None:
        prefix = f"trials/{NAME}{name}"
        if mark is not None:
            trial.outside.put_object(
                Bucket=left_in(trial), Key=f"{prefix}.json", Body=json.dumps(mark).encode()
            )
        trial.outside.put_object(Bucket=left_in(trial), Key=f"{prefix}/x", Body=b"x")

    me = this_process("tests").to_json()
    lay("alive", me)
    lay("dead", me | {"started": 1})
    lay("half", None)
    trial.outside.create_multipart_upload(Bucket=left_in(trial), Key=f"trials/{NAME}dead/upload")
    trial.outside.put_object(Bucket=left_in(trial), Key="trials/of somebody else", Body=b"")
    place = open_scratch(trial.place())
    assert place is not None
    swept = place.sweep(datetime.now(UTC))
    assert {one.rsplit(NAME)[-1] for one in swept} == {"dead/", "half/"}
    assert sorted(left(trial)) == [
        f"trials/{NAME}alive.json", f"trials/{NAME}alive/x", "trials/of somebody else",
    ]  # fmt: skip


def test_what_users_expect_of_objects(trial: BucketSite) -> None:
    """An object is read as a file is."""
    trial.put("sub/a b.csv", b"id,n\n1,1\n1,2\n")
    trial.expectations = (
        "expectations:\n"
        "  - {file: sub/a b.csv, expectation: expect_column_values_to_be_unique, column: n}\n"
        "  - {file: sub/a b.csv, expectation: expect_column_values_to_be_unique, column: id}\n"
        "  - {file: sub/gone.csv, expectation: expect_column_values_to_be_unique, column: id}\n"
    )
    trial.back_up()
    outcome, faults = verified(trial)
    found = outcome.details["points"][0]["expectations"]
    assert [one["met"] for one in found] == [True, False, False]
    assert [fault.partition(": ")[2] for fault in faults] == [
        "sub/a b.csv: expect_column_values_to_be_unique (column: id): 2 of 2 are not so",
        "sub/gone.csv: expect_column_values_to_be_unique (column: id): is not there",
    ]
