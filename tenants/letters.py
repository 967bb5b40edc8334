"""The only sender of e-mails that carry a link to get in: written with what they are about, sent by a sweep."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.core.mail import send_mail

from awfdrs_site.lib import sweeping
from awfdrs_site.lib.ids import uuid7
from tenants import scoping, secrets
from tenants.models import Letter

logger = logging.getLogger(__name__)

AT_ONCE = 20
TRIES = 8  # over two hours; the links last a day
KEPT_FOR = timedelta(days=1)  # without text: how often somebody was written to
_NOBODYS = UUID(int=0)  # letters are of no tenant

# The lease is in the due time: a sender that died leaves the letter to the next one.
_CLAIM = """
update tenants_letter set tries = tries + 1, due_at = awf_now() + interval '1 minute' * power(2, least(tries, 6))
where id in (
  select id from tenants_letter where sent_at is null and due_at <= awf_now()
  order by due_at limit %s for update skip locked
)
returning id
"""


def write(*, email: str, subject: str, text: str, now: datetime) -> Letter:
    """Keep the letter in the transaction of what it tells of."""
    letter_id = uuid7()
    sealed = secrets.seal(text, tenant_id=_NOBODYS, row_id=letter_id)
    told = {
        "subject": _line(subject),
        "text_sealed": sealed,
        "created_at": now,
        "due_at": now,
    }
    return Letter.objects.create(id=letter_id, email=email, **told)


def was_written_to(email: str, *, subject: str, since: datetime) -> bool:
    """About the same: another tenant's invitation keeps nobody's new password back."""
    same = Letter.objects.filter(email=email, subject=_line(subject))
    return same.filter(created_at__gt=since).exists()


def send_due(
    *, limit: int = AT_ONCE, submit: Callable[[Callable[[], None]], object] = sweeping.now_and_here
) -> int:
    """Send what is due, outside every transaction. A letter whose sending is unsure is sent again."""
    claimed = scoping.found(_CLAIM, [limit])
    for (letter_id,) in claimed:
        submit(partial(_send, letter_id))
    return len(claimed)


def forget_old() -> int:
    with scoping.pipeline() as now:
        n_gone, _ = Letter.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    return n_gone


def _line(subject: str) -> str:
    return " ".join(subject.split())[:200]


def _send(letter_id: UUID) -> None:
    letter = Letter.objects.filter(pk=letter_id).first()
    if letter is None:
        return
    try:
        text = secrets.open_sealed(letter.text_sealed, tenant_id=_NOBODYS, row_id=letter.pk)
        send_mail(letter.subject, text, None, [letter.email])
    except Exception as failure:  # whatever a mail server does: the next try is due already
        # not the text: it has a link that opens the account
        logger.warning("letter %s not sent: %s", letter.pk, type(failure).__name__)
        if letter.tries < TRIES:
            return
        logger.exception("letter %s given up", letter.pk)
    Letter.objects.filter(pk=letter.pk).update(sent_at=letter.due_at, text_sealed="")
