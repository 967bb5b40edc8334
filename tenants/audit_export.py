"""The only place that writes the audit log as a spreadsheet, which shall compute nothing that somebody else typed."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from awfdrs_site.lib import rfc3339
from tenants import journal
from tenants.audit_forms import AuditForm
from tenants.audit_pages import matching
from tenants.journal import Actor
from tenants.models import JournalEntry

ROWS_MOST = 50_000
COLUMNS = (
    "at",
    "actor",
    "actor_kind",
    "actor_id",
    "verb",
    "subject_type",
    "subject_id",
    "detail",
    "correlation_id",
    "id",
)
_COMPUTES = ("=", "+", "-", "@", "\t", "\r", "\n")


def export(tenant_id: UUID, form: AuditForm, *, by: Actor, now: datetime) -> str:
    """The lines of the view, newest first, at most ROWS_MOST. Who took them is a line of the journal itself."""
    lines = matching(tenant_id, form).order_by("-at", "-id")[:ROWS_MOST]
    written = io.StringIO()
    n_rows = write(lines, to=written)
    told = {"rows": n_rows, "filters": form.asked}
    journal.record_tenant(tenant_id, "audit_exported", by=by, at=now, **told)
    return written.getvalue()


def write(lines: Iterable[JournalEntry], *, to: io.StringIO) -> int:
    sheet = csv.writer(to, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    sheet.writerow(COLUMNS)
    n_rows = 0
    for line in lines:
        sheet.writerow([harmless(cell) for cell in _cells(line)])
        n_rows += 1
    return n_rows


def harmless(cell: str) -> str:
    """Spreadsheets take these for formulas; a quote in front makes them text."""
    return f"'{cell}" if cell.startswith(_COMPUTES) else cell


def _cells(line: JournalEntry) -> Iterator[str]:
    yield rfc3339.format(line.at)
    yield line.actor_label
    yield line.actor_kind
    yield line.actor_id
    yield line.verb
    yield line.subject_type
    yield line.subject_id
    yield json.dumps(line.detail, ensure_ascii=False, sort_keys=True)
    yield line.correlation_id
    yield str(line.pk)
