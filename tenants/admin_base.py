"""The only admin base classes: who may see which rows, every change journalled, refusals back in the form."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError, IntegrityError, models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from awfdrs_site.lib import clock
from tenants import journal, scoping
from tenants.access import Caller, TenantRef
from tenants.journal import Actor
from tenants.models import JournalEntry, PlatformJournalEntry, Tenant, TenantOwned

HISTORY_LINES = 200
_SECRET_WORDS = ("password", "secret")

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    ModelForm = forms.ModelForm[Any]
else:
    ModelAdmin = admin.ModelAdmin
    ModelForm = forms.ModelForm


def is_platform(request: HttpRequest) -> bool:
    """Platform staff: every tenant, every page. Nobody of a tenant ever is."""
    user = request.user
    return user.is_active and getattr(user, "is_superuser", False)


def tenant_of(request: HttpRequest) -> TenantRef | None:
    """The tenant whose admin this is, when that is all they are."""
    caller: Caller | None = getattr(request, "caller", None)
    if caller is None or caller.user_id is None or is_platform(request):
        return None
    return caller.tenant if caller.may("configure") else None


def block_of(request: HttpRequest) -> AbstractContextManager[datetime]:
    """What the database takes them for. Raises PermissionDenied for everybody else."""
    if is_platform(request):
        return scoping.platform()
    if (tenant := tenant_of(request)) is not None:
        return scoping.bound(tenant.id)
    raise PermissionDenied


def actor_of(request: HttpRequest) -> Actor:
    user: Any = request.user  # `block_of` let nobody in who is not signed in
    return Actor("user", str(user.pk), user.get_full_name() or user.get_username())


def say(request: HttpRequest, text: str, *, is_good: bool = True) -> None:
    messages.add_message(request, messages.SUCCESS if is_good else messages.ERROR, text)


class OfTenantForm(ModelForm):
    """A new row's form: staff choose the tenant, a tenant's admin cannot."""

    own_tenant: ClassVar[TenantRef | None] = None
    tenant = forms.ModelChoiceField(Tenant.objects.filter(is_active=True).order_by("name", "id"))

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance._state.adding:
            chosen = self.own_tenant or self.cleaned_data.get("tenant")
            self.instance.tenant_id = chosen.id if chosen else None
        return cleaned


def subclass(form: Any, *mixins: type, **attributes: Any) -> Any:
    """A form class made of another one, by its own metaclass."""
    return type(form)(form.__name__, (*mixins, form), attributes)


class _Refused:
    """Mixed into a form whose values the domain or the database refused when they were saved."""

    refusal = ""

    def clean(self) -> Any:
        cleaned = super().clean()  # type: ignore[misc]
        self.add_error(None, self.refusal)  # type: ignore[attr-defined]
        return cleaned


class GuardedAdmin(ModelAdmin):
    """What every page here keeps to. Rows are journalled instead of Django's own log."""

    view_on_site = False
    show_full_result_count = False
    list_per_page = 50
    can_add = can_change = can_delete = True
    verbs_tell_the_journal = False
    refusals: ClassVar[dict[type[Exception], str]] = {
        IntegrityError: "Something with these values exists already.",
    }

    def may(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this person gets to this row (or, without one, to these pages) at all."""
        raise NotImplementedError

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and self.may(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_change and self.may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_delete and self.may(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A row never changes its tenant."""
        fixed = tuple(super().get_readonly_fields(request, obj))
        return (*fixed, "tenant") if isinstance(obj, TenantOwned) else fixed

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if kwargs.get("fields") is not None:
            kwargs["fields"] = self._open_fields(kwargs["fields"])
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "admin_refusal", "")
        if not refusal:
            return form
        return subclass(form, _Refused, refusal=refusal)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A refusal while saving undoes what was saved and gives the form again, saying why."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except tuple(self.refusals) as refused:
            request.admin_refusal = self._message(refused)  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """A filter that Postgres cannot even compare with is a wrong filter, not our error."""
        try:
            with transaction.atomic():
                return super().get_changelist_instance(request)
        except (DataError, ValueError) as wrong:
            raise IncorrectLookupParameters from wrong

    def response_action(self, request: HttpRequest, queryset: Any, *args: Any) -> Any:
        if not all(map(self._is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            say(request, "Those rows do not exist.", is_good=False)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """What the journal says changed: before and after, never of a secret."""
        return {name: _change(form, name) for name in form.changed_data}

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        self._journal(request, obj, "added", changes=message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        if message:
            self._journal(request, obj, "changed", changes=message)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Any]) -> None:  # type: ignore[override]
        for obj in queryset:
            self._journal(request, obj, "deleted")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):  # before looking: nobody learns what exists
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "opts": self.opts,
            "object": obj,
            "lines": journal_of(obj),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def _open_fields(self, names: Iterable[str]) -> list[str]:
        """Without what the model keeps from every form: ours declare such fields themselves."""
        closed = {field.name for field in self.opts.fields if not field.editable}
        return [name for name in names if name not in closed]

    def _journal(self, request: HttpRequest, obj: Any, done: str, **detail: Any) -> None:
        if self.verbs_tell_the_journal:
            return
        verb = f"{str(obj._meta.verbose_name).lower().replace(' ', '_')}_{done}"
        told: dict[str, Any] = {"by": actor_of(request), "at": clock.now(), "name": str(obj)[:200]}
        told |= detail
        if isinstance(obj, TenantOwned):
            journal.record(obj, verb, **told)
            return
        kind = str(obj._meta.model_name)[:40]
        journal.record_platform(
            subject_type=kind, subject_id=str(obj.pk)[:64], verb=verb[:60], **told
        )

    def _message(self, refused: Exception) -> str:
        return next(text for kind, text in self.refusals.items() if isinstance(refused, kind))

    def _is_key(self, text: str) -> bool:
        key = self.model._meta.pk
        try:
            key.to_python(text)
        except ValidationError:
            return False
        return True


class PlatformAdmin(GuardedAdmin):
    """Rows that only platform staff see."""

    def may(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform(request)


class TenantAdmin(GuardedAdmin):
    """Rows of tenants: all of them for staff, a tenant's own for its admins."""

    def may(self, request: HttpRequest, obj: Any = None) -> bool:
        tenant = tenant_of(request)
        is_own = tenant is not None and (obj is None or obj.tenant_id == tenant.id)
        return is_platform(request) or is_own

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("tenant")
        tenant = tenant_of(request)
        return rows if tenant is None else rows.for_tenant(tenant)  # type: ignore[attr-defined]

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._with_tenant(request, super().get_list_display(request))

    def get_list_filter(self, request: HttpRequest) -> Any:
        return self._with_tenant(request, super().get_list_filter(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = super().get_fields(request, obj)
        return [name for name in shown if name != "tenant" or is_platform(request)]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if issubclass(form, OfTenantForm) and (tenant := tenant_of(request)) is not None:
            form.base_fields.pop("tenant", None)
            form.own_tenant = tenant
        return form

    def _with_tenant(self, request: HttpRequest, names: Any) -> tuple[Any, ...]:
        return (*names, "tenant") if is_platform(request) else tuple(names)


def journal_of(obj: Any) -> list[Any]:
    """What the journal says of one row, newest first."""
    about = {"subject_type": str(obj._meta.model_name), "subject_id": str(obj.pk)}
    if isinstance(obj, TenantOwned):
        lines: models.QuerySet[Any] = JournalEntry.objects.for_tenant(obj.tenant_id)
    else:
        lines = PlatformJournalEntry.objects.all()
    return list(lines.filter(**about).order_by("-at", "-id")[:HISTORY_LINES])


def _change(form: Any, name: str) -> Any:
    """[before, after] of a stored field; only the fact for anything that may be secret."""
    stored = {field.name for field in form._meta.model._meta.fields} if _has_model(form) else set()
    if name not in stored or any(word in name for word in _SECRET_WORDS):
        return "set"
    before = form.initial.get(name)
    return [_plain(before), _plain(form.cleaned_data.get(name))]


def _has_model(form: Any) -> bool:
    return hasattr(form, "_meta")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | list):
        return value
    return str(value.pk) if isinstance(value, models.Model) else str(value)
