"""The forms of runbooks: what is written, and which step was done."""

from django import forms

from incidents import runbook_steps, runbooks

SIGNATURE = r"^[0-9a-f]{32}$"


class RunbookForm(forms.Form):
    """`version` is the one that is changed, 0 for a new runbook."""

    text = forms.CharField(
        label="What to do, in Markdown",
        max_length=runbooks.TEXT_CHARACTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text="A line that begins with “- [ ]” is a step to tick on every incident. Empty: no runbook.",
    )
    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        if len(runbook_steps.steps(text)) > runbooks.STEPS_MOST:
            raise forms.ValidationError(f"A runbook has at most {runbooks.STEPS_MOST} steps.")
        return text


class SignatureForm(forms.Form):
    """Whether the runbook is of one failure only."""

    signature = forms.RegexField(regex=SIGNATURE, required=False)


class StepForm(forms.Form):
    step = forms.RegexField(regex=SIGNATURE)
    done = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])
