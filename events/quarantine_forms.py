"""What people choose and type to find refused events and to cure them."""

from typing import Any

from django import forms

from awfdrs_site.lib import strict_json
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge

PATCH_BYTES = 65_536
PAGES_MOST = 200  # of 50: all that the bound keeps
STATES = (("waiting", "Waiting"), ("replayed", "Replayed"))


class QuarantineFilterForm(forms.Form):
    """`?reason=event_type: format&state=replayed`; what waits is shown first."""

    reason = forms.CharField(max_length=200, required=False)
    state = forms.ChoiceField(choices=STATES, required=False)
    page = forms.IntegerField(min_value=1, max_value=PAGES_MOST, required=False)


class PatchForm(forms.Form):
    """The fields as they are to be, as JSON; cleaned, an object."""

    patch = forms.CharField(
        label="Patch",
        required=False,
        max_length=PATCH_BYTES,
        help_text="A JSON object of the fields to replace; null takes a field away. Empty: as it is.",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def clean_patch(self) -> dict[str, Any]:
        text = self.cleaned_data["patch"].strip()
        if not text:
            return {}
        try:
            found = strict_json.loads(text.encode(), max_bytes=PATCH_BYTES)
        except MalformedJson as wrong:
            raise forms.ValidationError(wrong.detail) from None
        except (TooLarge, UnicodeEncodeError):
            raise forms.ValidationError("This is too much, or no text.") from None
        if not isinstance(found, dict):
            raise forms.ValidationError(
                'Write an object, such as {"event_type": "payment.failed"}.'
            )
        return found
