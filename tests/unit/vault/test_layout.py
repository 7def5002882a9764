"""Names of what lies in a vault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from include.backup.errors import ConfigurationInvalid
from include.backup.storage.memory import MemoryStorage
from include.backup.vault import layout
from tests.unit.vault.samples import NOW


def test_generation_is_named_after_its_second() -> None:
    """In UTC, whatever the zone of the clock; what is below a second is dropped."""
    moment = datetime(2026, 11, 1, 2, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert layout.new_generation(moment, ()) == "20261101T010000Z"
    assert layout.opened_at_of("20261101T010000Z") == datetime(2026, 11, 1, 1, tzinfo=UTC)


def test_taken_second_makes_room_for_the_next() -> None:
    """Two generations never share a name, also when the clock was set back."""
    taken = {"20261101T010000Z", "20261101T010001Z"}
    assert layout.new_generation(NOW, taken) == "20261101T010002Z"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "20261301T010000Z",
        "20261101T010000",
        "../20261101T010000Z",
        "2026\u0661\u066101T010000Z",
    ],
)
def test_what_is_no_generation_is_refused(name: str) -> None:
    """No name from a user becomes part of a path unseen."""
    assert not layout.is_generation(name)
    folder = layout.dataset_folder(MemoryStorage(lambda: NOW), "crm")
    for use in (
        lambda: layout.opened_at_of(name),
        lambda: layout.generation_folder(folder, name),
        lambda: layout.envelope_name(name, "ab" * 8),
    ):
        with pytest.raises(ConfigurationInvalid, match="is no generation"):
            use()


@pytest.mark.parametrize("name", ["", "..", "a/b", "CRM", "-a", "a" * 64, "crm\n"])
def test_what_is_no_dataset_is_refused(name: str) -> None:
    """The folder of a dataset is one part of a path."""
    with pytest.raises(ConfigurationInvalid, match="is no name of a dataset"):
        layout.dataset_folder(MemoryStorage(lambda: NOW), name)


def test_everything_lies_where_the_design_says() -> None:
    """The layout is a contract: strangers find their way by it."""
    vault = MemoryStorage(lambda: NOW)
    dataset = layout.dataset_folder(vault, "crm")
    generation = layout.generation_folder(dataset, "20261101T010000Z")
    generation.save("config", b"")
    dataset.save(layout.envelope_name("20261101T010000Z", "0123456789abcdef"), b"")
    layout.policy_folder(vault).save("ledger/0000000042.json", b"")
    layout.policy_folder(vault).save(layout.config_name("ab" * 32), b"")
    assert [info.name for info in vault.list()] == [
        "datasets/crm/generations/20261101T010000Z/config",
        "datasets/crm/keys/20261101T010000Z/0123456789abcdef.json",
        f"policy/config/{'ab' * 32}.json",
        "policy/ledger/0000000042.json",
    ]
    assert layout.dataset_names(vault) == ["crm"]
    assert generation.url == "memory:/datasets/crm/generations/20261101T010000Z"
    with pytest.raises(ConfigurationInvalid, match="is no id of a master key"):
        layout.envelope_name("20261101T010000Z", "../x")
