"""The only rival of batches: COPY into a temporary table and one INSERT of the same rows into the same three tables."""

import threading
import time

import psycopg
from django.conf import settings

_TEMPORARY = "create temp table given (mark text, payload jsonb) on commit delete rows"
_COPY = "copy given (mark, payload) from stdin"
_INSERT = """
with made as materialized (select uuidv7() id, mark, payload from given), owned as (
  insert into events_eventkey (tenant_id, key_hash, event_id, field_digests, correlation_id, warnings)
  select %(tenant)s, sha256(mark::bytea), id,
    '{"payload":"0123456789abcdef","event_type":"0123456789abcdef","workflow":"0123456789abcdef","run_id":"0123456789abcdef"}',
    mark, '[]' from made order by 2
  on conflict do nothing returning event_id
), stored as (
  insert into events_event (id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at, run_ref,
                            schema_version, extra, vendor_name, correlation_id)
  select made.id, %(tenant)s, workflow.id, 'payment.failed', payload, now(), now(), mark, '1.0.0', '{}', 'stripe', mark
  from made join owned on owned.event_id = made.id
    join tenants_workflow workflow on workflow.tenant_id = %(tenant)s and workflow.slug = 'checkout'
  returning id
)
insert into events_pendingevent (id, tenant_id, received_at, attempts) select id, %(tenant)s, now(), 0 from stored
"""
_LINE = (
    '{mark}\t{{"error_code":"payment_timeout","error_message":"The payment provider did not answer in time",'
    '"vendor":"stripe","amount":100}}\n'
)


def rate(tenant: str, *, size: int, seconds: int, clients: int) -> float:
    """Rows a second."""
    done: list[int] = []
    until = time.monotonic() + seconds
    began = time.perf_counter()
    threads = [
        threading.Thread(target=_copy_on, args=(tenant, size, until, str(n), done))
        for n in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def _copy_on(tenant: str, size: int, until: float, name: str, done: list[int]) -> None:
    mark = f"copy-{time.time_ns()}-{name}"
    with psycopg.connect(settings.DATABASE_OWNER_URL, autocommit=True) as connection:
        connection.execute("set role awf_owner")
        connection.execute(_TEMPORARY)
        while time.monotonic() < until:
            n = len(done)
            lines = "".join(_LINE.format(mark=f"{mark}-{n}-{row}") for row in range(size))
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy(_COPY) as copy:
                    copy.write(lines)
                cursor.execute(_INSERT, {"tenant": tenant})
                assert cursor.rowcount == size
            done.append(size)
