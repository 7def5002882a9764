"""Which entries of an archive belong to a table, where names are not quoted."""

from __future__ import annotations

from typing import Any

from include.backup.sources.postgresql.partial import lines_of

LISTED = [
    "1; 1259 16405 TABLE shop orders anna",
    "2; 1259 16406 TABLE shop orders old anna",
    "3; 1259 16407 SEQUENCE shop orders_id_seq anna",
    "4; 0 0 COMMENT shop COLUMN orders.id anna",
    "5; 0 0 COMMENT shop COLUMN orders.old.id anna",
    "6; 1259 16412 INDEX shop orders_placed_idx anna",
    "7; 1259 16413 INDEX shop orders_placed_idx 2 anna",
    "8; 2606 16411 CONSTRAINT shop orders orders_pkey anna",
    "9; 1259 16408 TABLE shop orders2 anna",
    "10; 1259 16409 TABLE other orders anna",
    "11; 0 0 ACL shop TABLE orders anna",
    "12; 0 0 ACL shop TABLE orders old anna",
    "13; 1255 16410 FUNCTION shop orders() anna",
]


def table(schema: str, name: str, **more: Any) -> dict[str, Any]:
    """As the manifest describes it."""
    return {"schema": schema, "name": name, **more}


RELATIONS = [
    table("shop", "orders", indexes=["orders_placed_idx"], sequences=["orders_id_seq"]),
    table("shop", "orders old", indexes=["orders_placed_idx 2"], sequences=[]),
    table("shop", "orders.old"),
    table("shop", "orders2"),
    table("other", "orders"),
]


def numbers(*wanted: tuple[str, str]) -> list[int]:
    """The lines of some tables, by their numbers."""
    return [int(line.partition(";")[0]) for line in lines_of(LISTED, RELATIONS, set(wanted))]


def test_the_longest_name_that_fits_is_meant() -> None:
    """What belongs to a table whose name begins with another's is not the other's."""
    assert numbers(("shop", "orders")) == [1, 3, 4, 6, 8, 11]
    assert numbers(("shop", "orders old")) == [2, 7, 12]
    assert numbers(("shop", "orders.old")) == [5]
    assert numbers(("shop", "orders"), ("shop", "orders old")) == [1, 2, 3, 4, 6, 7, 8, 11, 12]
    assert numbers(("shop", "nothing")) == []
