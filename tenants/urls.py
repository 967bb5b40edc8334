"""Console routes of this app, at the root. The bundles lie under /static/, where nobody is asked who they are."""

from django.urls import path

from tenants import views

app_name = "tenants"
urlpatterns = [
    path("sign-in/", views.sign_in, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("tenant/", views.select, name="select"),
    path("theme/", views.theme, name="theme"),
    path("no-tenant/", views.no_tenant, name="no-tenant"),
    path("static/bundle/<slug:digest>/<str:name>", views.asset, name="asset"),
]
