"""The only place that speaks Apprise: what the platform's own staff shall hear, over channels only they configure."""

import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from actions.models import PlatformChannel
from tenants import journal, scoping, secrets
from tenants.journal import SYSTEM
from tenants.models import PlatformJournalEntry
from tenants.secrets import NOBODY, SecretUnreadable

logger = logging.getLogger(__name__)

# What Apprise may speak: services with hosts of their own, and mail. Nothing that posts to any address.
SCHEMES = frozenset({"mailto", "mailtos", "msteams", "pagerduty", "slack"})
VERB = "platform_told"


@dataclass(frozen=True)
class Told:
    """One channel, and whether its service took the message."""

    channel: str
    is_taken: bool


def is_allowed(url: str) -> bool:
    """Whether Apprise may be given it: one address, of a scheme on the list."""
    scheme = urlsplit(url).scheme.lower()
    return scheme in SCHEMES and not any(mark in url for mark in " ,\t\r\n")


def tell_platform(*, subject: str, text: str, dedupe_key: str) -> list[Told]:
    """Tell every channel of the staff, outside every transaction; a key that one took is not told again."""
    with scoping.platform(durable=True):
        told = PlatformJournalEntry.objects.filter(verb=VERB, subject_id=dedupe_key[:64])
        channels = [] if told.exists() else list(PlatformChannel.objects.filter(is_active=True))
    heard = [send(channel, subject=subject, text=text) for channel in channels]
    if any(one.is_taken for one in heard):
        with scoping.platform(durable=True) as now:
            journal.record_platform(
                subject_type="platformchannel",
                subject_id=dedupe_key[:64],
                verb=VERB,
                by=SYSTEM,
                at=now,
                said=subject,
                taken_by=[one.channel for one in heard if one.is_taken],
            )
    return heard


def send(channel: PlatformChannel, *, subject: str, text: str) -> Told:
    """One message to one channel; never raises."""
    import apprise  # a quarter of a second and a hundred modules, for what few processes ever do

    try:
        url = secrets.open_sealed(channel.url_sealed, tenant_id=NOBODY, row_id=channel.pk)
    except SecretUnreadable:
        logger.warning("the address of platform channel %s cannot be read", channel.name)
        return Told(channel.name, is_taken=False)
    # Asked again: the list may have become shorter since it was saved.
    speaker = apprise.Apprise()
    is_taken = is_allowed(url) and bool(speaker.add(url))
    is_taken = is_taken and bool(speaker.notify(title=subject, body=text))
    return Told(channel.name, is_taken=is_taken)
