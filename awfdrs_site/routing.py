"""Every websocket route."""

from django.urls import path

from awfdrs_site.consumers import FeedConsumer

websocket_urlpatterns = [path("ws/feed", FeedConsumer.as_asgi())]
