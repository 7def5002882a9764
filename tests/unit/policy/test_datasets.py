"""datasets.yaml and datasets.d: what is good, what is bad, and that a bad entry fails alone."""

from __future__ import annotations

import re
import time
from datetime import date
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator

from include.backup.errors import ConfigurationInvalid, DatasetInvalid
from include.backup.policy.dataset_model import Retired
from include.backup.policy.datasets import (
    DEFAULT_PATH,
    Datasets,
    datasets_schema,
    load_datasets,
    team_file_schema,
)
from include.backup.policy.load import load_policy
from include.backup.policy.source_model import FilesystemSettings, S3Settings

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("critical", "important", "non_essential")
HEAD = """\
key: {provider: local, connection: backup_master_key}
signing_key: {connection: backup_signing_key}
vaults:
  primary: {url: file:///srv/vault}
  cloud: {url: s3://bucket/a/b/, connection: backup_vault, region: eu-west-1}
  plain: {url: s3://other, connection: c, endpoint_url: "http://10.0.0.1:9000"}
"""
GOOD = "{class: critical, owner: o@example.com, source: {type: filesystem, path: /srv/good}}"


def load(folder: Path, datasets: str, *, head: str = HEAD, **team_files: str) -> Datasets:
    (folder / "datasets.yaml").write_text(f"{head}{datasets}")
    for name, text in team_files.items():
        (folder / "datasets.d").mkdir(exist_ok=True)
        (folder / "datasets.d" / f"{name}.yaml").write_text(text)
    return load_datasets(CLASSES, folder / "datasets.yaml")


def entry(**changes: str) -> str:
    keys = {
        "class": "critical",
        "owner": "o@example.com",
        "source": "{type: filesystem, path: /srv/one}",
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in (keys | changes).items()) + "}"


def bucket(url: str) -> str:
    return f"{{type: s3, url: '{url}', connection: c}}"


def test_a_bucket_is_read_whole(tmp_path: Path) -> None:
    """Bucket and prefix are told apart, and whatever was left out has its default."""
    more = "{type: s3, url: s3://other/p/q/, connection: c, tags: skip, jobs: 3}"
    found = load(
        tmp_path,
        f"defaults: {{exclude: [a]}}\ndatasets:\n  one: {entry(source=bucket('s3://one'))}\n"
        f"  two: {entry(source=more)}\n",
    )
    one, two = found.good["one"].source, found.good["two"].source
    assert isinstance(one, S3Settings)
    assert isinstance(two, S3Settings)
    assert (one.bucket, one.prefix, one.tags, one.jobs) == ("one", "", "read", 8)
    assert one.exclude == ("a",)
    assert (two.bucket, two.prefix, two.tags, two.jobs) == ("other", "p/q", "skip", 3)
    assert found.good["two"].address == "s3://other/p/q"


def test_a_prefix_inside_another_is_backed_up_once(tmp_path: Path) -> None:
    """Of two datasets in one bucket the outer one goes on; the same name elsewhere is another."""
    elsewhere = "{type: s3, url: s3://one/p, connection: c, endpoint_url: 'https://s3.example.com'}"
    found = load(
        tmp_path,
        f"datasets:\n  whole: {entry(source=bucket('s3://one'))}\n"
        f"  part: {entry(source=bucket('s3://one/p'))}\n  other: {entry(source=elsewhere)}\n",
    )
    assert set(found.good) == {"whole", "other"}
    assert "lies inside dataset whole (s3://one" in str(found.bad["part"])


def test_a_complete_entry_is_read_whole(tmp_path: Path) -> None:
    """Every documented key of a dataset arrives, and where it was written is remembered."""
    found = load(
        tmp_path,
        """\
datasets:
  crm:
    class: critical
    owner: crm-team@example.com
    vault: cloud
    description: uploads
    insecure_reason: lab
    retired: {date: 2026-11-01, reason: replaced, by: ops}
    source: {type: filesystem, path: /srv//crm/./, exclude: ["*.tmp", "cache/"],
             one_file_system: true, changing: keep, unreadable: skip}
""",
    )
    assert not found.bad
    crm = found.good["crm"]
    assert crm.source == FilesystemSettings(
        path="/srv/crm",
        exclude=("*.tmp", "cache/"),
        one_file_system=True,
        changing="keep",
        unreadable="skip",
    )
    assert crm.retired == Retired(date=date(2026, 11, 1), reason="replaced", by="ops")
    assert (crm.data_class, crm.owner, crm.vault) == ("critical", "crm-team@example.com", "cloud")
    assert (crm.description, crm.insecure_reason) == ("uploads", "lab")
    assert (crm.file, crm.line) == ("datasets.yaml", 8)
    assert found.key.connection == "backup_master_key"
    assert found.signing_key == "backup_signing_key"
    assert found.vaults["cloud"].url == "s3://bucket/a/b"
    assert found.vaults["primary"].local_path == "/srv/vault"


def test_defaults_fill_in_and_teams_may_have_their_own(tmp_path: Path) -> None:
    """An entry's own words come first, then those of its file, then those of datasets.yaml."""
    found = load(
        tmp_path,
        """\
defaults: {class: important, owner: everyone, exclude: ["*.bak"], changing: keep}
datasets:
  plain: {source: {type: filesystem, path: /a}}
  own: {owner: me, class: critical, exclude: [], source: {type: filesystem, path: /b}}
""",
        team="defaults: {owner: team}\ndatasets: {t: {source: {type: filesystem, path: /t}}}\n",
        nothing="# not yet\n",
    )
    assert not found.bad
    assert found.good["plain"].owner == "everyone"
    assert found.good["plain"].source.exclude == ("*.bak",)
    assert found.good["plain"].source.changing == "keep"
    assert found.good["plain"].vault == "primary"
    assert (found.good["own"].owner, found.good["own"].data_class) == ("me", "critical")
    assert found.good["own"].source.exclude == ()
    assert (found.good["t"].owner, found.good["t"].data_class) == ("team", "important")
    assert found.good["t"].file == "datasets.d/team.yaml"


def test_replicas_of_all_leave_out_the_vault_of_one(tmp_path: Path) -> None:
    """Written in the defaults they are meant for every dataset; a vault needs no copy of itself."""
    head = HEAD.replace("srv/vault}", "srv/vault, offsite: false}")
    waiver = "offsite_waiver: {reason: a move, by: cto, until: 2027-03-31}\n"
    found = load(
        tmp_path,
        f"""\
{waiver}defaults: {{replicas: [primary, cloud], shrink_tolerance: 80 %}}
datasets:
  one: {entry()}
  two: {entry(vault="cloud", source="{type: filesystem, path: /srv/two}")}
  own: {entry(replicas="[]", shrink_tolerance="5%", source="{type: filesystem, path: /srv/own}")}
""",
        head=head,
    )
    assert not found.bad
    assert [found.good[name].replicas for name in ("one", "two", "own")] == [
        ("cloud",),
        ("primary",),
        (),
    ]
    assert [found.good[name].shrink_tolerance for name in ("one", "own")] == [0.8, 0.05]
    assert [vault.offsite for vault in found.vaults.values()] == [False, None, None]
    assert found.offsite_waiver.until == date(2027, 3, 31)


@pytest.mark.parametrize(
    ("bad", "path", "message"),
    [
        (entry(**{"class": "critcal"}), "class", "did you mean critical?"),
        (entry(vault="primry"), "vault", '"primry" is no vault'),
        (entry(vault="plain"), "vault", "would receive it over plain http"),
        (entry(shrink_tolerance="101%"), "shrink_tolerance", "is no share"),
        (entry(shrink_tolerance="0.5"), "shrink_tolerance", "write it as in 80%"),
        (entry(replicas="[clod]"), "replicas", "did you mean cloud?"),
        (entry(replicas="[primary]"), "replicas", "primary is its vault"),
        (entry(replicas="[cloud, cloud]"), "replicas", "cloud is written twice"),
        (entry(replicas="[plain]"), "replicas", "would receive it over plain http"),
        (entry(ownr="x"), "ownr", 'a dataset has no key "ownr"'),
        (entry(owner="~"), "owner", "is empty"),
        ("{class: critical, owner: o}", "source", "is missing"),
        ("{owner: o, source: {type: filesystem, path: /x}}", "class", "is missing"),
        (entry(source="/srv/one"), "source", "is a single value, not a filesystem source"),
        (entry(source="{type: filesystem}"), "source.path", "is missing"),
        (entry(source="{path: /x}"), "source.type", "is missing"),
        (entry(source="{type: postgresql, conection: c}"), "source.conection", "has no key"),
        (entry(source="{type: mariadb}"), "source.connection", "is missing"),
        (entry(source=bucket("s3://b")), "source.url", "is no place in a bucket"),
        (entry(source="{type: s3, url: s3://one}"), "source.connection", "is missing"),
        (entry(source="{type: filesytem}"), "source.type", "did you mean filesystem?"),
        (entry(source="{type: filesystem, path: srv}"), "source.path", "is no absolute path"),
        (entry(source="{type: filesystem, path: ~/x}"), "source.path", "is no absolute path"),
        (entry(source="{type: filesystem, path: /a/../b}"), "source.path", "climbs with .."),
        (entry(exclude="'*.tmp'"), "exclude", "is no list"),
        (entry(one_file_system="yes"), "one_file_system", "is neither true nor false"),
        (entry(retired="{date: soon, reason: r, by: b}"), "retired.date", "is no date"),
        (entry(description='"a\\u0007"'), "description", "control characters"),
        (
            entry(exclude="[a]", source="{type: filesystem, path: /x, exclude: [b]}"),
            "exclude",
            "stands here and in the source",
        ),
        (
            entry(source="{type: filesystem, path: /x, changing: ignore}"),
            "source.changing",
            '"ignore" is not one of error, keep',
        ),
        (entry(source="{type: filesystem, path: /srv/vault/x}"), "source.path", "lies inside"),
        (entry(source="{type: filesystem, path: /srv/vault}"), "source.path", "is the same as"),
        (entry(source="{type: filesystem, path: /}"), "source.path", "/ holds vault primary"),
        (entry(source="{type: filesystem, path: /srv/good/x}"), "source.path", "dataset good (/"),
        (entry(source=bucket("s3://bucket")), "source.url", "s3://bucket holds vault cloud"),
        (entry(source=bucket("s3://bucket/a/b/c")), "source.url", "lies inside vault cloud"),
        ("", "", "is nothing, not a dataset"),
        ("[1]", "", "is a list, not a dataset"),
    ],
)
def test_a_bad_entry_fails_alone(tmp_path: Path, bad: str, path: str, message: str) -> None:
    """One wrong entry is named with file, line, path and reason; its neighbours are untouched."""
    found = load(
        tmp_path, f"datasets:\n  good: {GOOD}\n  bad: {bad}\n", t=f"datasets: {{t: {entry()}}}"
    )
    assert set(found.good) == {"good", "t"}
    assert set(found.bad) == {"bad"}
    error = found.bad["bad"]
    assert error.path == (f"datasets.bad.{path}" if path else "datasets.bad")
    assert message in str(error)
    assert "(datasets.yaml line 9)" in str(error)
    assert found.dataset("good").name == "good"
    with pytest.raises(DatasetInvalid, match=re.escape(message)):
        found.dataset("bad")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("policy", "is a reserved name"),
        ("Crm", "cannot name a dataset"),
        ('"../x"', "cannot name a dataset"),
        ('"a/b"', "cannot name a dataset"),
        ('"a\\nb"', "cannot name a dataset"),
        ("-x", "cannot name a dataset"),
        ("é", "cannot name a dataset"),
        ("x" * 64, "cannot name a dataset"),
    ],
)
def test_an_unsafe_name_fails_alone(tmp_path: Path, name: str, message: str) -> None:
    """A name becomes a folder of the vault: what could climb out of it, or hide, is refused."""
    found = load(tmp_path, f"datasets:\n  good: {GOOD}\n  {name}: {entry()}\n")
    assert set(found.good) == {"good"}
    [error] = found.bad.values()
    assert message in str(error)
    assert "\n" not in str(error)


def test_a_name_written_twice_is_good_nowhere(tmp_path: Path) -> None:
    """Two entries under one name leave it open which is meant, in one file or across files."""
    found = load(
        tmp_path,
        f"datasets:\n  good: {GOOD}\n  two: {entry()}\n  two: {entry()}\n  three: {entry()}\n",
        team=f"datasets:\n  three: {entry(source='{type: filesystem, path: /other}')}\n",
    )
    assert set(found.good) == {"good"}
    assert "is written twice, again in line 10 (datasets.yaml line 9)" in str(found.bad["two"])
    assert "is written again in datasets.d/team.yaml; first in datasets.yaml line 11" in str(
        found.bad["three"]
    )


def test_a_broken_team_file_fails_only_its_own_datasets(tmp_path: Path) -> None:
    """What cannot be read is listed under the file's name; every other file is in force."""
    found = load(
        tmp_path,
        f"datasets: {{good: {GOOD}}}\n",
        broken="datasets: [\n",
        greedy=f"vaults: {{x: {{url: 'file:///x'}}}}\ndatasets: {{g: {entry()}}}\n",
        fine=f"datasets: {{fine: {entry()}}}\n",
    )
    (tmp_path / "datasets.d" / "folder.yml").mkdir()
    (tmp_path / "datasets.d" / ".hidden.yaml").write_text("datasets: [\n")
    (tmp_path / "datasets.d" / "notes.txt").write_text("datasets: [\n")
    found = load_datasets(CLASSES, tmp_path / "datasets.yaml")
    assert set(found.good) == {"good", "fine"}
    assert set(found.bad) == {
        "datasets.d/broken.yaml",
        "datasets.d/folder.yml",
        "datasets.d/greedy.yaml",
    }
    assert "line 2 is not YAML" in str(found.bad["datasets.d/broken.yaml"])
    assert 'has no key "vaults"' in str(found.bad["datasets.d/greedy.yaml"])


def test_a_retired_dataset_gives_its_path_free(tmp_path: Path) -> None:
    """What is read no more is in nobody's way."""
    retired = "{date: 2026-01-01, reason: split, by: ops}"
    found = load(
        tmp_path,
        f"""\
datasets:
  old: {entry(source="{type: filesystem, path: /srv/good}", retired=retired)}
  good: {GOOD}
""",
    )
    assert set(found.good) == {"old", "good"}


def test_a_bad_outer_dataset_does_not_take_the_inner_one_with_it(tmp_path: Path) -> None:
    """An entry that is wrong by itself protects nothing, so it refuses nothing either."""
    outer = entry(**{"class": "none_such"}, source="{type: filesystem, path: /srv}")
    found = load(tmp_path, f"datasets:\n  outer: {outer}\n  good: {GOOD}\n")
    assert set(found.good) == {"good"}


def test_plain_http_is_accepted_with_a_reason(tmp_path: Path) -> None:
    """A stated reason of the dataset is enough, and so is a server on the machine itself."""
    head = HEAD + "  near: {url: s3://near, connection: c, endpoint_url: 'http://127.0.0.1:1'}\n"
    one = entry(vault="plain", insecure_reason="lab network")
    two = entry(vault="near", source="{type: filesystem, path: /srv/two}")
    found = load(tmp_path, f"datasets:\n  one: {one}\n  two: {two}\n", head=head)
    assert not found.bad


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("vaults:\n", "vault:\n", "vault", "did you mean vaults?"),
        ("{provider: local,", "{provider: aws_kms,", "key.key_id", "is missing: the key's ARN"),
        ("{provider: local,", "{provider: vault,", "key.provider", "use local"),
        ("{connection: backup_signing_key}", "backup_signing_key", "signing_key", "single value"),
        ("file:///srv/vault", "/srv/vault", "vaults.primary.url", "no place for a vault"),
        ("file:///srv/vault", "file://host/x", "vaults.primary.url", "no place for a vault"),
        ("file:///srv/vault", "file:///a/../b", "vaults.primary.url", "climbs with .."),
        ("file:///srv/vault", "file:///", "vaults.primary", "is the root of the file system"),
        ("file:///srv/vault", "s3://bucket/a/b", "vaults.primary", "a bucket needs a connection"),
        ("file:///srv/vault}", "file:///v, region: x}", "vaults.primary", "no meaning for a dir"),
        ("s3://other", "s3://bucket/a/b", "vaults.plain", "is the same place as cloud"),
        ("primary:", "Primary:", "vaults", "cannot name a vault"),
        ("signing_key:", "key: {}\nsigning_key:", "key", "is written twice"),
    ],
)
def test_what_concerns_every_dataset_is_an_error_at_once(
    tmp_path: Path, old: str, new: str, path: str, message: str
) -> None:
    """Without keys or vaults nothing can be backed up: the file is refused, with the place."""
    assert old in HEAD
    with pytest.raises(ConfigurationInvalid) as caught:
        load(tmp_path, f"datasets: {{good: {GOOD}}}\n", head=HEAD.replace(old, new, 1))
    assert not isinstance(caught.value, DatasetInvalid)
    assert caught.value.path == path
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "datasets.yaml is empty"),
        ("vaults: {}\n", "vaults: is empty"),
        ("datasets: [\n", "datasets.yaml line 2 is not YAML"),
    ],
)
def test_an_unreadable_file_is_an_error_at_once(tmp_path: Path, text: str, message: str) -> None:
    """No vaults and no YAML are told apart, each with a reason."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load(tmp_path, "", head=text)
    assert message in str(caught.value)


def test_credentials_in_an_address_are_not_repeated(tmp_path: Path) -> None:
    """A secret written in the wrong place does not reach the message, and so no log."""
    for secret in ("s3://AKIA:hunter2@bucket/x", "s3://bucket/x?secret=hunter2"):
        with pytest.raises(ConfigurationInvalid) as caught:
            load(tmp_path, "", head=HEAD.replace("s3://bucket/a/b/", f"'{secret}'"))
        assert "credentials belong into the connection" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_an_unknown_name_gets_a_hint(tmp_path: Path) -> None:
    """A slip of the pen on the command line is answered with the name that was meant."""
    found = load(tmp_path, f"datasets: {{good: {GOOD}}}\n")
    with pytest.raises(DatasetInvalid, match="did you mean good"):
        found.dataset("goood")


def test_the_shipped_file_is_valid_and_so_is_its_example(tmp_path: Path) -> None:
    """The example can be used by removing the comment signs, and editors accept both."""
    classes = [one.name for one in load_policy().classes]
    assert load_datasets(classes).bad == {}
    text = DEFAULT_PATH.read_text()
    head, example = text.split("\ndatasets:\n")
    lines = [line.removeprefix("#") for line in example.splitlines() if line.startswith("#  ")]
    used = "\n".join([head, "datasets:", *lines])
    (tmp_path / "datasets.yaml").write_text(used)
    found = load_datasets(classes, tmp_path / "datasets.yaml")
    assert set(found.good) == {"crm"}
    assert not found.bad
    validator = Draft202012Validator(datasets_schema())
    assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert not list(validator.iter_errors(yaml.safe_load(used)))


def test_the_schemas_mark_what_the_loader_refuses() -> None:
    """Unknown keys, names and words are marked in an editor, too."""
    Draft202012Validator.check_schema(datasets_schema())
    team = Draft202012Validator(team_file_schema())
    source = {"type": "filesystem", "path": "/x"}
    good = {"datasets": {"a": {"class": "critical", "owner": "o", "source": source}}}
    assert not list(team.iter_errors(good))
    for bad in (
        {"vaults": {}},
        {"datasets": {"A": {"source": source}}},
        {"datasets": {"a": {"source": source, "ownr": "o"}}},
        {"datasets": {"a": {"source": {**source, "changing": "ignore"}}}},
        {"datasets": {"a": {}}},
    ):
        assert list(team.iter_errors(bad))


def test_ten_thousand_datasets_load_in_seconds(tmp_path: Path) -> None:
    """The time grows with the number of datasets, not with its square."""
    lines = (
        f"  d{number}: {{class: critical, owner: o@example.com, "
        f"source: {{type: filesystem, path: /data/{number % 100}/{number}}}}}\n"
        for number in range(10_000)
    )
    begin = time.process_time()
    found = load(tmp_path, f"datasets:\n{''.join(lines)}")
    assert len(found.good) == 10_000
    assert time.process_time() - begin < 10


def test_where_restores_are_tried(tmp_path: Path) -> None:
    """A place for each kind of source; nothing is said of what is left out."""
    section = (
        "verification: {encrypted: true, filesystem: /srv//scratch/, postgresql: scratch_db, "
        "s3: store/bucket/deep/prefix/}\n"
    )
    found = load(tmp_path, section).verification
    assert found.places == {
        "filesystem": "/srv/scratch",
        "postgresql": "scratch_db",
        "s3": "store/bucket/deep/prefix",
    }
    assert found.encrypted is True
    none = load(tmp_path, "").verification
    assert (dict(none.places), none.encrypted) == ({}, None)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{filesystem: scratch}", "verification.filesystem.*is no absolute path"),
        ("{filesystem: /}", "is the root of the file system"),
        ("{s3: store}", "is no place for objects"),
        ("{s3: /bucket}", "is no place for objects"),
        ("{encrypted: perhaps}", "is neither true nor false"),
        ("{postgres: scratch_db}", "has no key .*postgres"),
    ],
)
def test_a_place_that_is_none(tmp_path: Path, section: str, says: str) -> None:
    """Before anything is restored to it."""
    with pytest.raises(ConfigurationInvalid, match=says) as caught:
        load(tmp_path, f"verification: {section}\n")
    assert caught.value.path.startswith("verification.")
