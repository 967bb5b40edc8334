"""The only place that makes, changes and ends memberships for a tenant: invitations, roles, leaving."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core import signing
from django.urls import reverse

from awfdrs_site.lib import links
from tenants import journal, letters
from tenants.access import TenantRef
from tenants.journal import Actor
from tenants.models import Invitation, Membership
from tenants.states import Role

OPEN_FOR = timedelta(days=7)
AGAIN_AFTER = timedelta(minutes=2)  # nobody's mailbox is filled by others
ADMINS_NAMED = 3
MOST = 200  # invitations that stand at once
_SALT = "tenants.members.invitation"
_TEXT = """\
{by} invites you to join {tenant} at AWFDRS as {role}.

Say yes within a week:
{link}
"""


class MemberRefused(Exception):
    """Why it cannot be, in words for who asked."""


@dataclass(frozen=True)
class Offer:
    """What an invitation's link says; whether it still stands only the database knows."""

    tenant_id: UUID
    invitation_id: UUID


def invite(tenant: TenantRef, *, email: str, role: str, by: Actor, now: datetime) -> Invitation:
    """Write to `email`; asked again, the invitation is renewed. Raises MemberRefused for a member."""
    address = email.strip().lower()
    if Membership.objects.for_tenant(tenant).filter(user__email__iexact=address).exists():
        raise MemberRefused("That person is a member already. Change their role below.")
    said: dict[str, Any] = {
        "role": role,
        "invited_by": by.label,
        "created_at": now,
        "expires_at": now + OPEN_FOR,
    }
    mine = Invitation.objects.for_tenant(tenant)
    if mine.filter(expires_at__gt=now).exclude(email=address).count() >= MOST:
        raise MemberRefused(f"{MOST} invitations stand already. Withdraw some first.")
    invitation, _ = mine.update_or_create(email=address, defaults=said | {"tenant_id": tenant.id})
    journal.record(invitation, "member_invited", by=by, at=now, email=address, role=role)
    _write(invitation, tenant, by=by, now=now)
    found: Invitation = invitation
    return found


def admins(tenant_id: UUID) -> tuple[str, ...]:
    """Whom to ask, by the names that they go by."""
    mine = Membership.objects.for_tenant(tenant_id).filter(role=Role.ADMIN, user__is_active=True)
    people = [one.user for one in mine.select_related("user").order_by("pk")[:ADMINS_NAMED]]
    return tuple(person.get_full_name() or person.get_username() for person in people)


def withdraw(invitation: Invitation, *, by: Actor, now: datetime) -> None:
    """Its link opens nothing from now on."""
    journal.record(invitation, "invitation_withdrawn", by=by, at=now, email=invitation.email)
    Invitation.objects.for_tenant(invitation.tenant_id).filter(pk=invitation.pk).delete()


def link_of(invitation: Invitation) -> str:
    said = {"tenant": str(invitation.tenant_id), "invitation": str(invitation.pk)}
    return links.absolute(reverse("tenants:join", args=[signing.dumps(said, salt=_SALT)]))


def offer_of(token: str) -> Offer | None:
    """What the link names; None when it is not one of ours."""
    try:
        said = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    return Offer(UUID(said["tenant"]), UUID(said["invitation"]))


def standing(offer: Offer, *, now: datetime) -> Invitation | None:
    """The invitation, while it stands; inside its tenant's block."""
    mine = Invitation.objects.for_tenant(offer.tenant_id).filter(tenant__is_active=True)
    found: Invitation | None = (
        mine.select_related("tenant").filter(pk=offer.invitation_id, expires_at__gt=now).first()
    )
    return found


def account_of(invitation: Invitation) -> Any:
    """The person with this address, when there is one already."""
    people = get_user_model().objects.filter(email__iexact=invitation.email, is_active=True)
    return people.order_by("pk").first()


def join(invitation: Invitation, *, user: Any, now: datetime) -> Membership | None:
    """The invitation becomes a membership, once; None for who comes second."""
    mine = Invitation.objects.for_tenant(invitation.tenant_id)
    if not mine.filter(pk=invitation.pk).delete()[0]:
        return None
    members = Membership.objects.for_tenant(invitation.tenant_id)
    member, is_new = members.get_or_create(
        user=user, defaults={"tenant_id": invitation.tenant_id, "role": invitation.role}
    )
    if is_new:
        by = Actor("user", str(user.pk), user.get_full_name() or user.get_username())
        journal.record(member, "member_joined", by=by, at=now, role=member.role)
    joined: Membership = member
    return joined


def change_role(member: Membership, role: str, *, by: Actor, now: datetime) -> Membership:
    """Holds from their next request on. Raises MemberRefused for the last admin."""
    member = _locked(member)
    if member.role == role:
        return member
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    journal.record(
        member, "member_role_changed", by=by, at=now, who=str(member.user), role=[before, role]
    )
    return member


def remove(member: Membership, *, by: Actor, now: datetime) -> None:
    """From the next request on they are nobody here. Raises MemberRefused for the last admin."""
    member = _locked(member)
    journal.record(member, "member_removed", by=by, at=now, who=str(member.user), role=member.role)
    Membership.objects.for_tenant(member.tenant_id).filter(pk=member.pk).delete()


def _write(invitation: Invitation, tenant: TenantRef, *, by: Actor, now: datetime) -> None:
    """Unless that was written just now: the link is the same."""
    subject, to = f"{by.label} invites you to {tenant.name}", invitation.email
    if letters.was_written_to(to, subject=subject, since=now - AGAIN_AFTER):
        return
    told = {"by": by.label, "tenant": tenant.name, "role": invitation.role}
    text = _TEXT.format(**told, link=link_of(invitation))
    letters.write(email=to, subject=subject, text=text, now=now)


def _locked(member: Membership) -> Membership:
    """The row, and with it every admin's: two who remove each other come one after the other."""
    mine = Membership.objects.for_tenant(member.tenant_id)
    admins = mine.filter(role=Role.ADMIN).order_by("pk").select_for_update()
    others = [admin for admin in admins if admin.pk != member.pk]
    row: Membership = mine.select_related("user").select_for_update(of=("self",)).get(pk=member.pk)
    if row.role == Role.ADMIN and not others:
        raise MemberRefused("This is the last admin: make somebody else an admin first.")
    return row
