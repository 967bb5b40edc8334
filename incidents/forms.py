"""What people type to find an incident or a run, and to say why they move it."""

import re
from typing import Any
from uuid import UUID

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from awfdrs_site.lib import query
from incidents import merging
from incidents.models import Incident
from incidents.states import RunState, Severity, Status
from tenants.models import Workflow

REASON_CHARACTERS = 4000
OFFERED = 200  # more workflows or vendors than this are found by address: ?workflow=slug
ASKS = {  # what each tab says in the query language
    "attention": "is:attention",
    "mine": "is:open is:mine",
    "open": "is:open",
    "snoozed": "is:open is:snoozed",
    "resolved": "is:closed",
}
TABS = tuple(ASKS)
ORDERS = {
    "-last_seen_at": "Last seen",
    "-first_seen_at": "Newest",
    "-severity": "Severity",
    "-event_count": "Events",
    "-unrecovered_runs": "Runs left",
}
NUMBER = re.compile(r"(?:inc-)?(\d{1,15})", re.IGNORECASE | re.ASCII)
_SELECTED = mark_safe(" selected")
FATES = (("left", "Left"), ("recovered", "Recovered"), ("alone", "Recovered without help"))


class Choices(forms.Select):
    """A select written at once: Django renders a template for each option, which is most of a list's time."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (key, _SELECTED if key == (value or "") else "", label)
                for key, label in self.choices
            ),
        )
        said = flatatt(self.build_attrs(self.attrs, attrs))
        return format_html('<select name="{}"{}>{}</select>', name, said, options)


class Filters(forms.Form):
    """What every filter bar shares: choices that submit at once, and slugs that the address may name."""

    offered: tuple[str, ...] = ()  # the fields that are shown as choices, in their order

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id = tenant_id

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        """`name`'s choices; a workflow or vendor that is asked for by address is among them."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        asked = self.data.get(name, "")
        if name in ("workflow", "vendor") and asked and (asked, asked) not in choices:
            choices = [*choices, (asked, asked)]
        attrs = {"data-submits": "", **({"class": "is-set"} if asked else {})}
        field.widget = Choices(attrs)
        field.choices = [("", f"Any {name.replace('_', ' ')}"), *choices]

    def _offer_workflows(self) -> None:
        workflows = Workflow.objects.for_tenant(self.tenant_id).order_by("slug", "id")
        self._offer("workflow", _pairs(workflows.values_list("slug", flat=True)[:OFFERED]))

    @property
    def choices(self) -> list[forms.BoundField]:
        return [self[name] for name in self.offered]


class FilterForm(forms.Form):
    """The whole view is in the address: `?tab=open&q=severity:>=high timed&ordering=-severity`.

    `?severity=high` and its like are the same as the condition `severity:high` in `q`.
    """

    tab = forms.ChoiceField(choices=[(tab, tab) for tab in TABS], required=False)
    q = forms.CharField(max_length=query.LENGTH, required=False)
    ordering = forms.ChoiceField(choices=list(ORDERS.items()), required=False)
    status = forms.ChoiceField(choices=Status.choices, required=False)
    severity = forms.ChoiceField(choices=Severity.choices, required=False)
    workflow = forms.CharField(max_length=200, required=False)
    vendor = forms.CharField(max_length=200, required=False)

    @property
    def current_tab(self) -> str:
        return self.cleaned_data["tab"] or TABS[0]

    @property
    def order(self) -> str:
        return self.cleaned_data["ordering"] or next(iter(ORDERS))

    @property
    def text(self) -> str:
        """What is asked, as one query."""
        asked = self.cleaned_data
        named = ((name, asked[name]) for name in ("status", "severity", "workflow", "vendor"))
        tokens = (query.token(name, value) for name, value in named if value)
        return query.added(asked["q"], *tokens)

    @property
    def whole(self) -> str:
        """The same with what its tab asks: what a job over all that match is told."""
        return query.added(ASKS[self.current_tab], self.text)


class NumberedFilters(Filters):
    """Filters of a list that has pages, of one incident or all: `?incident=INC-12&page=2`."""

    incident = forms.RegexField(NUMBER, required=False)
    page = forms.IntegerField(min_value=1, required=False)

    def clean_incident(self) -> int | None:
        found = NUMBER.fullmatch(self.cleaned_data["incident"])
        return int(found[1]) if found else None

    @property
    def incident_number(self) -> str:
        number = self.cleaned_data["incident"]
        return f"INC-{number}" if number is not None else ""

    @property
    def is_filtered(self) -> bool:
        """Whether it narrows the view: neither the tab nor the page does."""
        said = ((k, v) for k, v in self.cleaned_data.items() if k not in ("page", "tab"))
        return any(value not in ("", None) for _, value in said)


class RunFilterForm(NumberedFilters):
    """`?state=left&workflow=billing&incident=INC-12`; `q` is a whole run id."""

    offered = ("state", "workflow")
    q = forms.CharField(max_length=200, required=False)
    state = forms.ChoiceField(required=False)
    workflow = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, tenant_id=tenant_id, **kwargs)
        self._offer("state", [*FATES, *((value, label) for value, label in RunState.choices)])
        self._offer_workflows()


class MergeForm(forms.Form):
    """`INC-12, 15`: the numbers as people write them; cleaned, the incidents."""

    incidents = forms.CharField(
        label="Which incidents?",
        max_length=1000,
        help_text=f"Their numbers, such as INC-12 INC-15; at most {merging.AT_ONCE}.",
    )
    reason = forms.CharField(
        label="Why? (optional)",
        max_length=REASON_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, tenant_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id = tenant_id

    def clean_incidents(self) -> list[Incident]:
        words = re.split(r"[\s,;]+", self.cleaned_data["incidents"].strip(" ,;"))
        for word in words:
            if not NUMBER.fullmatch(word):
                raise forms.ValidationError(f"“{word}” is no incident's number.")
        numbers = [int(match[1]) for word in words if (match := NUMBER.fullmatch(word))]
        if len(set(numbers)) > merging.AT_ONCE:
            raise forms.ValidationError(f"At most {merging.AT_ONCE} at once.")
        mine = Incident.objects.for_tenant(self.tenant_id).filter(number__in=numbers)
        found = {incident.number: incident for incident in mine}
        for number in numbers:
            if number not in found:
                raise forms.ValidationError(f"There is no INC-{number}.")
        return [found[number] for number in dict.fromkeys(numbers)]


class SplitForm(forms.Form):
    signature = forms.CharField(max_length=32)
    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False)


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS)


class ResolveForm(forms.Form):
    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False)
    waive_unrecovered = forms.BooleanField(required=False)


def _pairs(names: Any) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
