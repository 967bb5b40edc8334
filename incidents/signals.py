"""The second of the two signals that go upward: ids only, sent on commit, a nudge and never the truth."""

from django.dispatch import Signal

decision_recorded = Signal()  # tenant_id: UUID, incident_id: UUID
