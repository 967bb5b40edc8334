"""The only place that counts what a rule sets off by itself, stops it when that is too much, and tells people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from actions import escalation_plans
from actions.ground import Ground
from actions.models import Action
from incidents.models import Incident
from safety import blast_radius, gate
from safety.blast_radius import Rule, Standing
from safety.gatefacts import Blast
from safety.limit_models import RulePause
from safety.ruletypes import BlastRadius

BEGUN = """
select count(*), count(distinct run_id),
  coalesce(array_agg(distinct run_id) filter (where run_id = any(%(runs)s)), '{}')
from actions_action
where tenant_id = %(tenant)s and rule = %(rule)s and rule > '' and started_at > %(since)s
"""


@dataclass
class Begun:
    """What one rule set off since a moment; of the runs that are looked at now, which."""

    actions: int
    n_runs: int
    runs: set[UUID]


class Radii:
    """The rules behind actions that are looked at together, each read once and counted on."""

    def __init__(self, ground: Ground, actions: Sequence[Action]) -> None:
        self._ground = ground
        self._run_ids = [action.run_id for action in actions if action.run_id]
        self._rules: dict[tuple[str, str], tuple[Rule, BlastRadius]] = {}
        self._standing: dict[str, Standing] = {}
        self._begun: dict[str, Begun] = {}
        self._let_go: list[Action] = []

    def rule(self, incident: Incident) -> tuple[Rule, BlastRadius]:
        about = (incident.error_code, incident.category)
        if about not in self._rules:
            self._rules[about] = _rule(incident, self._ground)
        return self._rules[about]

    def standing(self, rule: Rule) -> Standing:
        name, ground = str(rule), self._ground
        if name not in self._standing:
            self._standing[name] = blast_radius.standing(ground.tenant_id, rule, now=ground.now)
        return self._standing[name]

    def pause(self, rule: Rule, incident: Incident, why: str) -> None:
        """Stop it there and then, and tell people unless somebody was first."""
        now = self._ground.now
        row = blast_radius.pause(incident.tenant_id, rule, reason=why, now=now)
        self._standing[str(rule)] = Standing(why, now)
        if row is not None:
            _tell(row, incident, now=now)

    def begun(self, rule: Rule) -> Begun:
        name = str(rule)
        if name not in self._begun:
            about: dict[str, Any] = {
                "tenant": self._ground.tenant_id,
                "rule": name,
                "runs": self._run_ids,
            }
            with connection.cursor() as cursor:
                cursor.execute(BEGUN, {**about, "since": self.standing(rule).since})
                actions, n_runs, runs = cursor.fetchone()
            self._begun[name] = Begun(actions, n_runs, set(runs))
            for action in self._let_go:
                self._count(action) if action.rule == name else None
        return self._begun[name]

    def add(self, action: Action) -> None:
        """One that its rule let go for the first time; its row is not written yet."""
        self._let_go.append(action)
        self._count(action)

    def _count(self, action: Action) -> None:
        begun = self._begun.get(action.rule)
        if begun is None:
            return
        begun.actions += 1
        if action.run_id is not None and action.run_id not in begun.runs:
            begun.n_runs += 1
            begun.runs.add(action.run_id)


def of_action(action: Action, facts: gate.Facts, radii: Radii) -> Blast | None:
    """How its rule stands, were this one to start; None where people or a campaign set it off.

    Exact while the tenant's turn is held.
    """
    if facts.campaign or facts.is_approved:
        return None
    rule, radius = radii.rule(_incident(action))
    standing = radii.standing(rule)
    blast = Blast(str(rule), standing.paused, radius.max_actions_per_hour, radius.max_runs_per_hour)
    if standing.paused or not (blast.max_actions or blast.max_runs):
        return blast
    begun = radii.begun(rule)
    is_counted = action.rule == str(rule) and bool(
        action.started_at and action.started_at > standing.since
    )
    return replace(
        blast,
        actions=begun.actions - is_counted,
        runs=begun.n_runs - (action.run_id in begun.runs),
    )


def at_start(action: Action, facts: gate.Facts, radii: Radii) -> Blast | None:
    """The same, with the consequence: a rule that would go beyond its radius is paused there and then.

    The action keeps its rule's name: that is what is counted.
    """
    blast = of_action(action, facts, radii)
    if action.started_at is None:
        action.rule = blast.rule if blast else ""
    if blast is None or blast.paused or not blast.is_full:
        return blast
    incident = _incident(action)
    rule, _ = radii.rule(incident)
    radii.pause(rule, incident, blast.why)
    return replace(blast, paused=blast.why)


def _incident(action: Action) -> Incident:
    """As the facts have just read it."""
    incident: Incident | None = action.incident
    assert incident is not None, "only retries are counted, and each has an incident"
    return incident


def _rule(incident: Incident, ground: Ground) -> tuple[Rule, BlastRadius]:
    rule = blast_radius.rule_of(
        error_code=incident.error_code, category=incident.category, known=ground.known
    )
    said = blast_radius.in_force(
        incident.tenant_id, rule, category=incident.category, known=ground.known
    )
    return rule, said.blast_radius


def _tell(row: RulePause, incident: Incident, *, now: datetime) -> None:
    """Everybody who may act: it stops until one of them looks."""
    text = (
        f"{row.reason} It was about to retry {incident}.\n\n"
        "Its retries wait for approval from now on. When it is right to go on by itself, an admin resumes it in the"
        " administration under Rule pauses; when it is not, change the rule first.\n"
    )
    escalation_plans.tell_everybody(
        tenant_id=row.tenant_id,
        subject=f"Rule paused: {row.rule}",
        text=text,
        dedupe_key=f"rule paused:{row.pk}",
        incident=incident,
        now=now,
    )
