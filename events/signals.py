"""The first of the two signals that go upward: ids only, sent on commit, a nudge and never the truth."""

from django.dispatch import Signal

events_stored = Signal()  # event_ids: list[UUID]
