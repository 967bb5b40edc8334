"""Enumerations of this app, as stored."""

from django.db.models import TextChoices


class BreakerStatus(TextChoices):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Forced(TextChoices):
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    SHADOW = "shadow"


class SwitchScope(TextChoices):
    """What a tenant's kill switch holds; the global one is a table of its own."""

    TENANT = "tenant"
    WORKFLOW = "workflow"
    VENDOR = "vendor"
    ACTION_TYPE = "action_type"


class RuleScope(TextChoices):
    WORKFLOW = "workflow"
    VENDOR = "vendor"
    CODE = "code"
    CATEGORY = "category"
    TENANT = "tenant"
