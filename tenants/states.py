"""Enumerations of this app, as stored."""

from django.db.models import TextChoices


class Role(TextChoices):
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Scope(TextChoices):
    EVENTS_WRITE = "events:write"
    READ = "read"
    OPERATE = "operate"
    CONFIGURE = "configure"


class Idempotent(TextChoices):
    """What a workflow says of a second call: harmless, harmless with the same key, or harmful."""

    YES = "yes"
    KEY = "key"
    NO = "no"


class Theme(TextChoices):
    SYSTEM = "system", "As the device has it"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Density(TextChoices):
    COMFORTABLE = "comfortable", "Comfortable"
    COMPACT = "compact", "Compact"
