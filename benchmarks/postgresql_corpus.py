"""The database of the PostgreSQL benchmark.

Of a realistic kind: wide customers, partitioned orders, narrow order items, events without a key,
documents with binary content, large objects, and pgbench's tables; 2 GB on disk at scale 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.servers.postgresql import Postgres

_SCHEMA: Final = """
CREATE SCHEMA shop;
CREATE TYPE shop.status AS ENUM ('new', 'paid', 'sent', 'returned');
CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE,
  address jsonb, notes text, tags text[], created timestamptz, score numeric(8, 3));
CREATE TABLE shop.orders (
  id bigint, customer bigint, placed date NOT NULL, state shop.status, total numeric(12, 2),
  PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
CREATE TABLE shop.order_items (
  order_id bigint, line int, sku text, quantity int, price numeric(10, 2),
  amount numeric(12, 2) GENERATED ALWAYS AS (quantity * price) STORED,
  PRIMARY KEY (order_id, line));
CREATE INDEX ON shop.order_items (sku);
CREATE TABLE shop.events (at timestamptz, kind text, payload jsonb);
CREATE TABLE shop.documents (id int PRIMARY KEY, name text, body bytea);
"""


def fill(server: Postgres, name: str, *, scale: float) -> None:
    """Make the database."""
    server.make_database(name)
    server.tool("pgbench", "-i", "-q", "-s", str(max(1, round(50 * scale))), "-n", database=name)
    months = [f"2026-{month:02}-01" for month in range(1, 13)] + ["2027-01-01"]
    partitions = [
        f"CREATE TABLE shop.orders_{number:02} PARTITION OF shop.orders "
        f"FOR VALUES FROM ('{start}') TO ('{end}')"
        for number, (start, end) in enumerate(pairwise(months), 1)
    ]
    server.run(_SCHEMA, *partitions, database=name)
    server.run("CREATE TABLE shop.orders_rest PARTITION OF shop.orders DEFAULT", database=name)
    _insert(server, name, first=0, scale=scale)
    server.run(
        "SELECT lo_from_bytea(0, convert_to(repeat(md5(g::text), 300), 'UTF8')) "
        f"FROM generate_series(1, {round(400 * scale) or 1}) g",
        database=name,
    )
    server.run("VACUUM ANALYZE", "CHECKPOINT", database=name)


def _insert(server: Postgres, name: str, *, first: int, scale: float) -> None:
    """Add rows behind those that are there; `first` is how often that was done before."""
    customers, orders, events, documents = (
        round(count * scale) for count in (300_000, 1_100_000, 600_000, 2_000)
    )
    server.run(
        f"""INSERT INTO shop.customers (name, email, address, notes, tags, created, score)
            SELECT 'Customer ' || g, 'c' || g || '@example.com',
                   jsonb_build_object('street', md5(g::text), 'zip', g % 99999, 'city', 'City'),
                   repeat(md5((g * 7)::text), 18), ARRAY['a' || g % 7, 'b' || g % 3],
                   timestamptz '2026-01-01 00:00Z' + g * interval '1 second', g % 1000 / 7.0
              FROM generate_series({first * customers} + 1, {(first + 1) * customers}) g""",
        f"""INSERT INTO shop.orders
            SELECT g, g % 300000 + 1, date '2026-01-01' + (g % 380)::int,
                   (ARRAY['new', 'paid', 'sent', 'returned'])[g % 4 + 1]::shop.status, g % 900
              FROM generate_series({first * orders} + 1, {(first + 1) * orders}) g""",
        f"""INSERT INTO shop.order_items (order_id, line, sku, quantity, price)
            SELECT g, l, 'SKU-' || (g * l) % 5000, g % 9 + 1, (g % 10000) / 100.0
              FROM generate_series({first * orders} + 1, {(first + 1) * orders}) g,
                   generate_series(1, 3) l""",
        f"""INSERT INTO shop.events
            SELECT timestamptz '2026-01-01 00:00Z' + g * interval '1 second', 'kind' || g % 9,
                   jsonb_build_object('id', g, 'text', md5(g::text))
              FROM generate_series({first * events} + 1, {(first + 1) * events}) g""",
        f"""INSERT INTO shop.documents
            SELECT g, 'doc ' || g, decode(string_agg(md5((g * s)::text), ''), 'hex')
              FROM generate_series({first * documents} + 1, {(first + 1) * documents}) g,
                   generate_series(1, 3000) s GROUP BY g""",
        database=name,
    )


def grow(server: Postgres, name: str, *, scale: float, times: int) -> None:
    """Add as much as there is, until there is `times` of it."""
    accounts = max(1, round(50 * scale)) * 100_000
    for number in range(1, times):
        _insert(server, name, first=number, scale=scale)
        server.run(
            "INSERT INTO pgbench_accounts (aid, bid, abalance, filler) "
            f"SELECT g, 1, 0, '' FROM generate_series({number * accounts} + 1, "
            f"{(number + 1) * accounts}) g",
            database=name,
        )
    server.run("VACUUM ANALYZE", "CHECKPOINT", database=name)


def change_recent(server: Postgres, name: str) -> int:
    """Update the newest hundredth of the big tables; return the bytes of those rows as text."""
    changed = 0
    for table, key, column in (
        ("pgbench_accounts", "aid", "abalance = abalance + 1"),
        ("shop.order_items", "order_id", "quantity = quantity + 1"),
        ("shop.customers", "id", "score = score + 1"),
    ):
        newest = f"{key} > (SELECT max({key}) * 0.99 FROM {table})"
        server.run(f"UPDATE {table} SET {column} WHERE {newest}", database=name)
        [(size,)] = server.run(
            f"SELECT sum(length(t::text)) FROM {table} t WHERE {newest}", database=name
        )
        changed += int(size)
    return changed
