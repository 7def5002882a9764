"""Whether a role may read all that a backup needs, and the SQL that would let it.

A backup of what one may see is no backup: a role without the right to a table, or with row-level
security in its way, would otherwise read less and say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.sources.postgresql.catalog import Rows, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.backup.sources.postgresql.catalog import Relation
    from include.backup.sources.postgresql.snapshot import DatabaseSnapshot

_NAMED: Final = 5
_READ_ALL_SINCE: Final = 140_000  # the role pg_read_all_data


def require_rights(snapshot: DatabaseSnapshot, rows: Mapping[int, Rows]) -> None:
    """See that everything can be read that is to be.

    Args:
        rows: what becomes of the rows of each relation, by its oid.

    Raises:
        SourceError: names what cannot be read, and the SQL that grants it.
    """
    wanted = [one for one in snapshot.relations if rows[one.oid] in {Rows.READ, Rows.SEQUENCE}]
    # What has no storage of its own is defined by what can always be read.
    locked = [one for one in snapshot.relations if one.has_storage and not one.extension]
    _refuse_unreadable(snapshot, [*wanted, *locked])
    hidden = [one for one in wanted if one.row_security]
    if hidden:
        raise SourceError(
            f"{snapshot.address.shown}: row-level security hides rows of {_some(hidden)} "
            f"from {snapshot.user}",
            hint=f"ALTER ROLE {quote(snapshot.user)} BYPASSRLS",
        )
    _refuse_large_objects(snapshot)


def _refuse_unreadable(snapshot: DatabaseSnapshot, wanted: Sequence[Relation]) -> None:
    refused = {one.oid: one for one in wanted if not one.readable}
    if not refused:
        return
    role = quote(snapshot.user)
    if snapshot.version >= _READ_ALL_SINCE:
        grant = f"GRANT pg_read_all_data TO {role}"
    else:
        schemas = ", ".join(sorted({quote(one.schema) for one in refused.values()}))
        grant = (
            f"GRANT USAGE ON SCHEMA {schemas} TO {role}; "
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {role}; "
            f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {role}"
        )
    raise SourceError(
        f"{snapshot.address.shown}: {snapshot.user} may not read {_some(list(refused.values()))}",
        hint=grant,
    )


def _refuse_large_objects(snapshot: DatabaseSnapshot) -> None:
    if snapshot.superuser:
        return
    found = snapshot.run(_UNREADABLE_OBJECTS)
    if found:
        first = found[0][0]
        raise SourceError(
            f"{snapshot.address.shown}: {snapshot.user} may not read large object {first}"
            + (f" and {len(found) - 1} others" if len(found) > 1 else ""),
            hint=f"GRANT SELECT ON LARGE OBJECT {first} TO {quote(snapshot.user)}, for each; "
            "pg_read_all_data does not cover them",
        )


def _some(relations: Sequence[Relation]) -> str:
    named = ", ".join(one.label for one in relations[:_NAMED])
    left = len(relations) - _NAMED
    return f"{named} and {left} more" if left > 0 else named


_UNREADABLE_OBJECTS: Final = """
SELECT m.oid::int8 FROM pg_catalog.pg_largeobject_metadata m
 WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                    WHERE a.privilege_type = 'SELECT'
                      AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
   AND pg_catalog.current_setting('lo_compat_privileges') = 'off'
 ORDER BY 1 LIMIT 1000
"""
