"""What a person's word on a plan consists of."""

from django import forms

REASON_CHARACTERS = 4000


class VerdictForm(forms.Form):
    """`plan_hash` is of the plan as the page showed it; one that is none matches no plan."""

    plan_hash = forms.CharField(max_length=100, required=False)
    reason = forms.CharField(max_length=REASON_CHARACTERS, required=False)

    def words(self) -> dict[str, str]:
        """As `voting` takes them. What does not fit a field is cut off, not refused."""
        said = {name: self.data.get(name, "").strip() for name in self.fields}
        return {"seen": said["plan_hash"][:100], "reason": said["reason"][:REASON_CHARACTERS]}
