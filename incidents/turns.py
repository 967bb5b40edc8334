"""The only place that says whose turn it is to group: one transaction per tenant at a time."""

from uuid import UUID

from django.db import connection

_TURN = "select pg_advisory_xact_lock(hashtextextended('digest:' || %s, 0))"
# Of a row with a tenant_id: takes the turn until the end of the transaction, or is false at once.
IS_FREE = "pg_try_advisory_xact_lock(hashtextextended('digest:' || tenant_id, 0))"


def take(tenant_id: UUID) -> None:
    """Wait until nobody else groups this tenant's failures; kept until the transaction ends.

    Taken before any row is locked. Templates are learned in order under it (DESIGN.md rule 17), and
    a merge cannot slip between what a digest reads and what it writes.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURN, [str(tenant_id)])
