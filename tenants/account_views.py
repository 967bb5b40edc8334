"""Pages of one's own account: django-allauth's second step and confirmations, in our frame."""

from allauth.account import views as account
from allauth.mfa.base import views as steps
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as app
from django.views.decorators.cache import never_cache

from tenants.personal import personal

code = never_cache(steps.authenticate)
confirm = never_cache(personal(account.reauthenticate))
confirm_by_code = never_cache(personal(steps.reauthenticate))
second_step = never_cache(personal(steps.index))
app_on = never_cache(personal(app.activate_totp))
app_off = never_cache(personal(app.deactivate_totp))
recovery_codes = never_cache(personal(codes.view_recovery_codes))
new_recovery_codes = never_cache(personal(codes.generate_recovery_codes))
recovery_file = never_cache(personal(codes.download_recovery_codes))
