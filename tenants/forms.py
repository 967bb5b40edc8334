"""What people type to get in."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """Django's own, in our words: one message for a wrong name and a wrong password."""

    error_messages = {  # noqa: RUF012  # the attribute that Django reads
        "invalid_login": "That name and password do not belong together.",
        "inactive": "This account is switched off.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Username or e-mail"
        self.label_suffix = ""
