"""The only place that sends a message to its destination and judges what came back; never raises."""

import re
import smtplib
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.core.mail import EmailMessage

from actions import channel_github, channels, retry, ticket_rows, transport
from actions.channels import Message
from actions.states import ChannelKind, DeliveryKind
from actions.transport import answers
from awfdrs_site.lib import clock

TRACKED = (*ticket_rows.KINDS, DeliveryKind.TEST)
_LINK = re.compile(r"https?://[^\s<>\"']{1,1900}")

Ending = Literal["sent", "retryable", "final"]


@dataclass(frozen=True)
class Outcome:
    """What became of one try, as far as we could see; an unseen outcome is tried again."""

    ending: Ending
    error: str = ""
    response_status: int | None = None
    excerpt: str = ""
    latency_ms: int | None = None
    retry_after_seconds: float | None = None
    ticket_id: str = ""
    ticket_url: str = ""


def perform(message: Message) -> Outcome:
    """One try, within its deadline."""
    if message.refusal:
        return Outcome("final", error=message.refusal)
    if message.to.kind == ChannelKind.EMAIL:
        return _mail(message)
    try:
        if message.to.kind in ticket_rows.TRACKERS and message.first.kind not in TRACKED:
            return Outcome("final", error="A tracker takes tickets of incidents only.")
        if message.to.kind == ChannelKind.GITHUB:
            return _github(message)
        answer = _send(channels.request_of(message, now=clock.read()))
    except transport.Refused as refused:
        return Outcome("final", error=str(refused))
    except (transport.NotSent, transport.OutcomeUnknown) as unsure:
        return Outcome("retryable", error=str(unsure))
    return _ticketed(message, answer)


def _mail(message: Message) -> Outcome:
    mail = channels.mail_of(message)
    if not mail.to:
        return Outcome("sent", excerpt="No e-mail address; shown in the console.")
    letter = EmailMessage(
        subject=mail.subject,
        body=mail.text,
        to=[mail.to],
        headers={"Message-ID": mail.message_id},
    )
    try:
        letter.send()
    except smtplib.SMTPRecipientsRefused as refused:
        code = min((code for code, _ in refused.recipients.values()), default=500)
        return Outcome("final" if code >= 500 else "retryable", error="The address was refused.")
    except (smtplib.SMTPException, OSError) as failure:
        name = type(failure).__name__
        return Outcome("retryable", error=f"E-mail was not accepted: {name}.")
    return Outcome("sent", excerpt=f"Accepted for {mail.to}.")


def _github(message: Message) -> Outcome:
    said = channel_github.converse(message, send=_send)
    outcome = judge(message, said.answer)
    number = said.number or message.ticket_id
    if message.first.kind == DeliveryKind.TEST:
        return outcome
    if outcome.ending == "sent" and not number:
        # Made, perhaps: the next try looks for it before it makes another.
        return Outcome("retryable", error="The answer names no issue.", excerpt=outcome.excerpt)
    return _with_ticket(outcome, number, said.url)


def _ticketed(message: Message, answer: transport.Answer) -> Outcome:
    outcome = judge(message, answer)
    if message.first.kind != DeliveryKind.TICKET_OPEN or outcome.ending != "sent":
        return outcome
    named = answers.named_in(answer.body)
    return _with_ticket(outcome, str(named.get("id") or "")[:200], str(named.get("url") or ""))


def _with_ticket(outcome: Outcome, number: str, url: str) -> Outcome:
    # A link that people click: nothing but the web, whatever the other side says.
    link = url if _LINK.fullmatch(url) else ""
    return Outcome(**{**outcome.__dict__, "ticket_id": number, "ticket_url": link})


def _send(request: transport.OutgoingRequest) -> transport.Answer:
    return transport.send(request, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)


def judge(message: Message, answer: transport.Answer) -> Outcome:
    """2xx is heard; 408, 425, 429 and 5xx come again, as late as they ask; every other answer is final."""
    seen = {
        "response_status": answer.status,
        "excerpt": answers.excerpt(answer.body, secrets=channels.secrets_of(message.to)),
        "latency_ms": answer.latency_ms,
    }
    if answer.is_accepted:
        return Outcome("sent", **seen)  # type: ignore[arg-type]
    error = answer.told_by("The destination")
    if answer.is_retryable:
        after = retry.parse_retry_after(answer.headers.get("retry-after", ""), now=clock.read())
        return Outcome(
            "retryable",
            error=error,
            retry_after_seconds=after,
            **seen,  # type: ignore[arg-type]
        )
    return Outcome("final", error=error, **seen)  # type: ignore[arg-type]
