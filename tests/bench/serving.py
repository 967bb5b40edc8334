"""The product's application with one more path, on which the plain view answers."""

from awfdrs_site import asgi, urls  # in this order: the first sets Django up
from tests.bench import plain

urls.urlpatterns += plain.urlpatterns
application = asgi.application
