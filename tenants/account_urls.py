"""Routes of one's own account, under the names by which django-allauth looks for them."""

from allauth.account.views import account_inactive
from django.urls import path

from tenants import account_views, views

urlpatterns = [
    path("sign-in/", views.sign_in, name="account_login"),
    path("sign-in/code/", account_views.code, name="mfa_authenticate"),
    path("sign-in/off/", account_inactive, name="account_inactive"),
    path("confirm/", account_views.confirm, name="account_reauthenticate"),
    path("confirm/code/", account_views.confirm_by_code, name="mfa_reauthenticate"),
    path("settings/second-step/", account_views.second_step, name="mfa_index"),
    path("settings/second-step/app/", account_views.app_on, name="mfa_activate_totp"),
    path("settings/second-step/app/off/", account_views.app_off, name="mfa_deactivate_totp"),
    path(
        "settings/second-step/codes/",
        account_views.recovery_codes,
        name="mfa_view_recovery_codes",
    ),
    path(
        "settings/second-step/codes/new/",
        account_views.new_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "settings/second-step/codes/file/",
        account_views.recovery_file,
        name="mfa_download_recovery_codes",
    ),
]
