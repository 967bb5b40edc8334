"""The forms in which people say what kind of failure it was, and whether what was chosen fixed it."""

from django import forms

from safety.rulefields import CATEGORIES
from tenants.serializers import FREE_TEXT_CHARACTERS

NAMED = [(name, name.replace("_", " ")) for name in CATEGORIES]


class CategoryForm(forms.Form):
    category = forms.ChoiceField(label="Category", choices=NAMED)


class FixForm(forms.Form):
    worked = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])
    note = forms.CharField(max_length=FREE_TEXT_CHARACTERS, required=False)
