"""Console routes of this app, at the root. The bundles lie under /static/, where nobody is asked who they are."""

from django.urls import path

from tenants import door_views, key_views, member_views, settings_views, views

app_name = "tenants"
urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("tenant/", views.select, name="select"),
    path("theme/", views.theme, name="theme"),
    path("no-tenant/", views.no_tenant, name="no-tenant"),
    path("password/forgotten/", door_views.forgotten, name="forgotten"),
    path("password/new/<str:uid>/<str:token>/", door_views.new_password, name="new-password"),
    path("join/<str:token>/", door_views.join, name="join"),
    path("settings/", settings_views.preferred, name="preferences"),
    path("settings/password/", settings_views.password, name="password"),
    path("settings/sessions/", settings_views.signed_in, name="sessions"),
    path("settings/sessions/end/", settings_views.end_others, name="end-sessions"),
    path("settings/sessions/<uuid:pk>/end/", settings_views.end, name="end-session"),
    path("settings/members/", member_views.listed, name="members"),
    path("settings/members/<uuid:pk>/role/", member_views.change, name="change-member"),
    path("settings/members/<uuid:pk>/remove/", member_views.remove, name="remove-member"),
    path("settings/invitations/<uuid:pk>/withdraw/", member_views.withdraw, name="withdraw"),
    path("settings/keys/", key_views.listed, name="keys"),
    path("settings/keys/<uuid:pk>/rotate/", key_views.rotate, name="rotate-key"),
    path("settings/keys/<uuid:pk>/revoke/", key_views.revoke, name="revoke-key"),
    path("static/bundle/<slug:digest>/<str:name>", views.asset, name="asset"),
]
