"""Console routes of simulations, under /rules/."""

from django.urls import path

from actions import simulation_views

app_name = "simulations"
urlpatterns = [
    path("simulate/", simulation_views.simulate, name="simulate"),
    path("simulations/<uuid:pk>/", simulation_views.simulation, name="simulation"),
]
