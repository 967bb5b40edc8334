"""The only place that joins the console's hand-written CSS and JS files: two requests, and still no build."""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import reverse

BUNDLES = {
    "console.css": (
        "css/tokens.css",
        "css/base.css",
        "css/layout.css",
        "css/components/buttons.css",
        "css/components/forms.css",
        "css/components/nav.css",
        "css/components/pills.css",
        "css/components/notices.css",
        "css/components/tabs.css",
        "css/components/list.css",
        "css/components/row.css",
        "css/components/query.css",
        "css/components/bulk.css",
        "css/components/cards.css",
        "css/components/charts.css",
        "css/components/flow.css",
        "css/components/vendors.css",
        "css/components/causes.css",
        "css/components/detail.css",
        "css/components/runbook.css",
        "css/components/timeline.css",
        "css/components/menus.css",
        "css/components/palette.css",
        "css/components/plain.css",
        "css/components/pages.css",
        "css/components/settings.css",
    ),
    "guide.css": ("css/components/guide.css",),
    "admin.css": ("css/tokens.css", "css/admin.css"),
    "console.js": (
        "vendor/htmx.min.js",
        "js/toast.js",
        "js/time.js",
        "js/live.js",
        "js/still.js",
        "js/dialog.js",
        "js/query.js",
        "js/becoming.js",
        "js/triage.js",
        "js/bulk.js",
        "js/tabs.js",
        "js/theme.js",
        "js/palette.js",
        "js/keys.js",
    ),
}
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_RELATIVE_URL = re.compile(r'url\("(?:\.\./)+([^"]+)"\)')
_FOREVER = "public, max-age=31536000, immutable"  # the address changes with the content


@dataclass(frozen=True)
class Bundle:
    """The joined files, as sent."""

    digest: str
    plain: bytes
    zipped: bytes


def url(name: str) -> str:
    """The address of a bundle; it names the content, so browsers keep it for good."""
    return reverse("tenants:asset", args=[bundle(name).digest, name])


def bundle(name: str) -> Bundle:
    """Read once; while DEBUG, again whenever a file was saved."""
    paths = [settings.BASE_DIR / "static" / part for part in BUNDLES[name]]
    saved_at = sum(path.stat().st_mtime_ns for path in paths) if settings.DEBUG else 0
    return _read(name, saved_at)


@cache
def _read(name: str, _saved_at: int) -> Bundle:
    parts = [(settings.BASE_DIR / "static" / part).read_text() for part in BUNDLES[name]]
    text = _RELATIVE_URL.sub(lambda found: f'url("{static(found[1])}")', "\n".join(parts))
    plain = text.encode()
    return Bundle(hashlib.sha256(plain).hexdigest()[:12], plain, gzip.compress(plain, mtime=0))


def answer(request: HttpRequest, digest: str, name: str) -> HttpResponse:
    """The bundle, compressed for who takes it. An old digest gets the current content, uncached."""
    if name not in BUNDLES:
        raise Http404
    found = bundle(name)
    is_zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(
        found.zipped if is_zipped else found.plain, content_type=_TYPES[name.rpartition(".")[2]]
    )
    if is_zipped:
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    response["Cache-Control"] = _FOREVER if digest == found.digest else "no-cache"
    return response
