"""Escalation to people by e-mail; the console shows it by the incident's status."""

import smtplib

from django.core.mail import EmailMessage

from actions.executors.base import Call, Result


def perform(call: Call) -> Result:
    """Send one message to everybody who may act. Nobody to tell is a success that says so."""
    if not call.recipients:
        return Result("succeeded", excerpt="Nobody has an e-mail address; shown in the console.")
    message = EmailMessage(
        subject=str(call.body["subject"]),
        body=str(call.body["text"]),
        to=list(call.recipients),
        # A second delivery of one escalation can be recognised by its id.
        headers={"Message-ID": f"<{call.idempotency_key}.{call.attempt}@awfdrs>"},
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as failure:
        return Result("retryable", error=f"E-mail was not accepted: {type(failure).__name__}.")
    return Result("succeeded", excerpt=f"Sent to {', '.join(call.recipients)}.")
