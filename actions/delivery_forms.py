"""What people type to find a delivery."""

from typing import Any

from django import forms

from actions.models import Channel
from actions.states import DeliveryStatus
from incidents.forms import Filters

OFFERED = 100
PAGES_MOST = 1000


class DeliveryFilterForm(Filters):
    """The whole view is in the address: `?status=failed&channel=…`."""

    offered = ("channel", "status")
    channel = forms.ChoiceField(required=False)
    status = forms.ChoiceField(required=False)
    page = forms.IntegerField(required=False, min_value=1, max_value=PAGES_MOST)

    def __init__(self, *args: Any, tenant_id: Any, **kwargs: Any) -> None:
        super().__init__(*args, tenant_id=tenant_id, **kwargs)
        mine = Channel.objects.for_tenant(tenant_id).order_by("name", "id")[:OFFERED]
        self._offer("channel", [(str(channel.pk), channel.name) for channel in mine])
        self._offer("status", [(value, label) for value, label in DeliveryStatus.choices])

    @property
    def is_filtered(self) -> bool:
        return any(value for name, value in self.cleaned_data.items() if name != "page")
