"""Django's session middleware, which also notes where and when a session was used, and keeps to its time zone."""

from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from tenants.session_store import SessionStore


class PersonSessionMiddleware(SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if isinstance(request.session, SessionStore):
            request.session.comes_from(
                address=request.META.get("REMOTE_ADDR", ""),
                agent=request.headers.get("User-Agent", ""),
            )

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        answered = super().process_response(request, response)
        if isinstance(request.session, SessionStore):
            request.session.note_visit()
        return answered
