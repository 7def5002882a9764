"""In which order materialized views are refreshed: those that others read come first."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError

if TYPE_CHECKING:
    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot


def refresh_order(snapshot: DatabaseSnapshot) -> list[Relation]:
    """The materialized views to refresh, each after those that it reads.

    One that has rows, and reads another that was emptied since, cannot be refreshed: it comes back
    empty, as pg_restore leaves it.

    Raises:
        SourceError.
    """
    views = {one.oid: one for one in snapshot.relations if one.kind == "m"}
    reads: dict[int, set[int]] = {oid: set() for oid in views}
    for view, read in snapshot.run(_READS):
        reads.setdefault(view, set()).add(read)
    try:
        order = list(TopologicalSorter(reads).static_order())
    except CycleError as error:  # views in a circle cannot be made, or the catalog is damaged
        raise SourceError(
            f"{snapshot.address.shown}: views read one another in a circle"
        ) from error
    empty: set[int] = set()
    for oid in order:
        if (oid in views and not views[oid].populated) or reads.get(oid, set()) & empty:
            empty.add(oid)
    return [views[oid] for oid in order if oid in views and oid not in empty]


_READS: Final = """
SELECT DISTINCT r.ev_class::int8, d.refobjid::int8
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
   AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('m', 'v')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
