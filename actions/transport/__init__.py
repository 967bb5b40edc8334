"""The only door for HTTP calls that a tenant's configuration causes."""

from actions.transport.addresses import IPNetwork, NotSent, Refused, Resolver, check_url
from actions.transport.answers import EXCERPT_BYTES, Answer
from actions.transport.sending import OutcomeUnknown, OutgoingRequest, send

__all__ = [
    "EXCERPT_BYTES",
    "Answer",
    "IPNetwork",
    "NotSent",
    "OutcomeUnknown",
    "OutgoingRequest",
    "Refused",
    "Resolver",
    "check_url",
    "send",
]
