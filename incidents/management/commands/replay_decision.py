"""`replay_decision ID|--all`: makes decisions again from what they kept; exits 1 when one differs or was altered."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from incidents import replay
from incidents.models import Decision
from incidents.replay import Replayed, Verdict
from safety import rules
from tenants import scoping
from tenants.models import Tenant

WRONG = (Verdict.DIFFERS, Verdict.ALTERED)


class Command(BaseCommand):
    help = "Make a decision again from its stored inputs and rules, and compare byte for byte; writes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("decision", nargs="?", type=UUID, metavar="ID")
        which.add_argument("--all", action="store_true", help="of every tenant")
        parser.add_argument(
            "--engine",
            choices=["recorded", "current"],
            default="recorded",
            help="current: by today's engine, also what another one decided",
        )

    def handle(self, *args: Any, decision: UUID | None, engine: str, **options: Any) -> None:
        with_current = engine == "current"
        found = _one(decision, with_current) if decision else _all(with_current)
        counted: Counter[Verdict] = Counter()
        for one in found:
            counted[one.verdict] += 1
            if decision or one.verdict in WRONG:
                self._tell(one)
        n_wrong = sum(counted[verdict] for verdict in WRONG)
        self.stdout.write(
            f"{counted.total():,} replayed: {counted[Verdict.SAME]:,} the same, {n_wrong:,} not, "
            f"{counted[Verdict.UNKNOWN_ENGINE]:,} of another engine"
        )
        if n_wrong:
            sys.exit(1)

    def _tell(self, one: Replayed) -> None:
        self.stdout.write(f"{one.decision_id} {one.verdict}")
        for line in one.says:
            self.stdout.write(f"  {line}")


def _one(decision_id: UUID, with_current: bool) -> Iterator[Replayed]:
    found = scoping.found("select tenant_id from incidents_decision where id = %s", [decision_id])
    if not found:
        raise CommandError(f"There is no decision {decision_id}.")
    ((tenant_id,),) = found
    with scoping.bound(tenant_id):
        decision = Decision.objects.for_tenant(tenant_id).get(pk=decision_id)
        known = rules.overrides(tenant_id)
    yield replay.replay(decision, known, with_current=with_current)


def _all(with_current: bool) -> Iterator[Replayed]:
    with scoping.platform():
        tenants = list(Tenant.objects.order_by("slug").values_list("pk", flat=True))
    for tenant_id in tenants:
        yield from replay.of_tenant(tenant_id, with_current=with_current)
