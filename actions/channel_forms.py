"""What admins type of a channel: judged per kind, its secret written and never read."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings

from actions import channel_github, transport
from actions.channel_platform import SCHEMES, is_allowed
from actions.models import Channel, PlatformChannel
from actions.states import ChannelKind
from tenants.admin_base import ModelForm, OfTenantForm

URL_CHARACTERS = 2000
SECRET_CHARACTERS = 500
LABELS_MOST = 10
SIGNED = (ChannelKind.WEBHOOK, ChannelKind.TICKET)  # with a secret that we make
TOKENED = (ChannelKind.PAGERDUTY, ChannelKind.GITHUB)  # with one that they gave
NEEDS_URL = (ChannelKind.SLACK, *SIGNED)


def _hidden(help_text: str) -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=SECRET_CHARACTERS,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=help_text,
        strip=True,
    )


class ChannelForm(OfTenantForm):
    url = forms.CharField(
        required=False,
        max_length=URL_CHARACTERS,
        strip=True,
        help_text="Empty for e-mail, and where PagerDuty or GitHub have their usual address.",
    )
    secret = _hidden(
        "PagerDuty's routing key or GitHub's token; empty: as it is. It is never shown again."
    )
    repository = forms.CharField(
        required=False, max_length=200, help_text="Of GitHub Issues: owner/name."
    )
    labels = forms.CharField(
        required=False, max_length=500, help_text="Of GitHub Issues, with commas between."
    )
    new_secret = forms.BooleanField(
        required=False,
        label="Make a new signing secret",
        help_text="Of webhooks and generic tickets. Shown once after saving; the old one ends.",
    )

    class Meta:
        model = Channel
        fields: ClassVar[list[str]] = [
            "name",
            "kind",
            "url",
            "address",
            "is_active",
            "group_wait_seconds",
            "hourly_cap",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.instance.config or {}
        self.initial["repository"] = config.get("repository", "")
        self.initial["labels"] = ", ".join(config.get("labels", []))

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        kind = self.cleaned_data.get("kind") or self.instance.kind
        self._judge_url(kind)
        self._judge_secret(kind)
        if kind == ChannelKind.EMAIL and not self.cleaned_data.get("address"):
            self.add_error("address", "Where to?")
        if kind == ChannelKind.GITHUB:
            self._judge_repository()
        self.instance.config = self._config(kind)
        return cleaned

    def _judge_url(self, kind: str) -> None:
        url = self.cleaned_data.get("url", "")
        if not url and kind in NEEDS_URL:
            self.add_error("url", "Where to?")
        try:
            if url:
                transport.check_url(url, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)
        except transport.Refused as refused:
            self.add_error("url", str(refused))

    def _judge_secret(self, kind: str) -> None:
        typed = self.cleaned_data.get("secret", "")
        if kind in TOKENED and not typed and not self.instance.secret_sealed:
            self.add_error("secret", "Without it nobody there takes our messages.")
        if typed and kind not in TOKENED:
            self.add_error(
                "secret", "Only PagerDuty and GitHub give secrets; others are made here."
            )
        # Whoever may change the address must not learn the token by having it sent to theirs.
        if kind in TOKENED and self.instance.secret_sealed and not typed and self._moves():
            self.add_error("secret", "Enter it again: it would be sent to another address.")

    def _moves(self) -> bool:
        return not self.instance._state.adding and "url" in self.changed_data

    def _judge_repository(self) -> None:
        if not channel_github.REPOSITORY.fullmatch(self.cleaned_data.get("repository", "")):
            self.add_error("repository", "This must be owner/name.")

    def _config(self, kind: str) -> dict[str, Any]:
        if kind != ChannelKind.GITHUB:
            return {}
        labels = [label.strip() for label in self.cleaned_data.get("labels", "").split(",")]
        return {
            "repository": self.cleaned_data.get("repository", ""),
            "labels": [label for label in labels if label][:LABELS_MOST],
        }


class PlatformChannelForm(ModelForm):
    secret_url = _hidden(
        f"Of Apprise: {', '.join(sorted(SCHEMES))}. It may hold a token, so it is never shown again."
    )

    class Meta:
        model = PlatformChannel
        fields: ClassVar[list[str]] = ["name", "is_active"]

    def clean_secret_url(self) -> str:
        url: str = self.cleaned_data["secret_url"]
        if not url and not self.instance.url_sealed:
            raise forms.ValidationError("Where to?")
        if url and not is_allowed(url):
            raise forms.ValidationError(f"Only {', '.join(sorted(SCHEMES))} are spoken here.")
        return url
