"""A change of rules that was tried on the last days, and what it would have made of them."""

from typing import ClassVar

from django.db import models
from django.urls import reverse

from actions.states import SimulationState
from tenants.models import TenantOwned


class Simulation(TenantOwned):
    """Worked by a sweep under a lease; `scope` and `target` name the rule where it is one rule that changes."""

    change = models.JSONField()
    scope = models.CharField(max_length=20, blank=True)
    target = models.CharField(max_length=100, blank=True)
    assumed = models.CharField(max_length=20)
    since = models.DateTimeField()
    until = models.DateTimeField()
    n_events = models.PositiveIntegerField()
    state = models.CharField(
        max_length=10, choices=SimulationState.choices, default=SimulationState.WORKING
    )
    percent = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(null=True)
    error = models.CharField(max_length=500, blank=True)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()  # what nobody has worked by then is cancelled
    finished_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(state__in=SimulationState.values), name="simulation_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the sweep that works them
            models.Index(
                fields=["created_at"],
                condition=models.Q(state=SimulationState.WORKING),
                name="simulation_unfinished",
            ),
            # what was tried of a rule: its page shows it beside the version that came of it
            models.Index(fields=["tenant", "scope", "target", "-id"], name="simulation_of_rule"),
        ]

    def __str__(self) -> str:
        return f"simulation {self.id}"

    def get_absolute_url(self) -> str:
        return reverse("simulations:simulation", args=[self.pk])
