"""`manage.py verify_audit`: whether the journal still says what was sealed; 1 when it does not."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from tenants import chain, scoping, verifying
from tenants.chain import Head
from tenants.models import Tenant

PLATFORM = "platform"


class Command(BaseCommand):
    help = (
        "Compare every journal line with its seal and name what was edited, deleted or reordered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help=f"one tenant, or {PLATFORM!r}")
        parser.add_argument(
            "--expect", metavar="SEQ:HASH", help="a head from the log that must still be there"
        )

    def handle(self, *args: Any, tenant: str | None, expect: str | None, **options: Any) -> None:
        if expect and not tenant:
            raise CommandError("Say with --tenant whose head that is.")
        expected = _head(expect) if expect else None
        reports = [(name, verifying.verify(at, expected=expected)) for name, at in _chains(tenant)]
        for name, report in reports:
            self._tell(name, report)
        if any(report.findings for _, report in reports):
            sys.exit(1)

    def _tell(self, name: str, report: verifying.Report) -> None:
        for found in report.findings:
            place = f"seq {found.seq}" if found.seq is not None else "no seal"
            which = f", entry {found.entry_id}" if found.entry_id else ""
            self.stdout.write(f"{name}: {found.what}: {place}{which}: {found.says}")
        head = f"head {report.head.seq}:{report.head.link.hex()}" if report.head else "no seal yet"
        erased = f", {report.n_erased} erased" if report.n_erased else ""
        verdict = f"{len(report.findings)} found" if report.findings else "whole"
        self.stdout.write(f"{name}: {verdict}, {report.n_sealed} sealed{erased}, {head}")
        if report.n_waiting:
            named = ", ".join(str(entry_id) for entry_id in report.waiting)
            more = " …" if report.n_waiting > len(report.waiting) else ""
            self.stdout.write(f"{name}: {report.n_waiting} not sealed yet: {named}{more}")


def _chains(slug: str | None) -> Iterator[tuple[str, UUID]]:
    if slug in (None, PLATFORM):
        yield PLATFORM, chain.PLATFORM
    with scoping.platform():
        tenants = list(Tenant.objects.order_by("slug").values_list("slug", "id"))
    for name, tenant_id in tenants:
        if slug in (None, name):
            yield name, tenant_id
    if slug and slug != PLATFORM and slug not in {name for name, _ in tenants}:
        raise CommandError(f"No tenant is called {slug}.")


def _head(text: str) -> Head:
    seq, _, link = text.partition(":")
    try:
        return Head(int(seq), bytes.fromhex(link))
    except ValueError:
        raise CommandError("A head is written SEQ:HASH, as the log says it.") from None
