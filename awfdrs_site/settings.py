"""The only place that reads the environment: every setting of docs/operations.md, checked at start."""

import importlib.util
import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from awfdrs_site import embedded
from awfdrs_site.lib import keyrings

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _whole(name: str, default: int, *, least: int = 0) -> int:
    try:
        value = int(env.str(name, default=str(default)))
    except ValueError:
        value = least - 1
    if value < least:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {least}.")
    return value


def _flag(name: str, *, default: bool) -> bool:
    text = env.str(name, default=str(default)).strip().lower()
    if text not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name} must be true or false.")
    return text in {"true", "1", "yes", "on"}


def _share(name: str, default: float) -> float:
    try:
        value = float(env.str(name, default=str(default)))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ImproperlyConfigured(f"{name} must be a number between 0 and 1.")
    return value


def _key_ring(name: str, default: str = "") -> str:
    """One or more keys, separated by commas; the value is never shown."""
    text: str = env.str(name, default=default)
    wrong = f"{name} must be {keyrings.KEY_BYTES} random bytes in URL-safe base64."
    keyrings.read(filter(None, text.split(",")), otherwise=wrong)
    return text


def _is_installed(*names: str) -> bool:
    """A package before what is in it."""
    return all(importlib.util.find_spec(name) for name in names)


def _networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(part.strip()) for part in env.list(name, default=[]) if part]
    except ValueError as wrong:
        raise ImproperlyConfigured(f"{name} must list networks such as 10.0.0.0/8.") from wrong


# --- where things live -------------------------------------------------------------------------
AWFDRS_DATA = Path(env.str("AWFDRS_DATA", default=str(BASE_DIR / "var"))).resolve()
EMBEDDED = not env.str("DATABASE_URL", default="")
_secrets = embedded.secrets(AWFDRS_DATA) if EMBEDDED else {}
_servers = embedded.attached(AWFDRS_DATA) if EMBEDDED else None
_NOWHERE = "postgresql://awf_login@127.0.0.1:1/awfdrs"  # embedded servers not started yet

DATABASE_URL = env.str("DATABASE_URL", default="") or (
    _servers.database_url if _servers else _NOWHERE
)
DATABASE_OWNER_URL = env.str("DATABASE_OWNER_URL", default="") or (
    _servers.database_owner_url if _servers else _NOWHERE
)
REDIS_URL = env.str("REDIS_URL", default="") or (
    _servers.redis_url if _servers else "redis://127.0.0.1:1/0"
)

DEBUG = _flag("DEBUG", default=False)
_PLAIN_HTTP = DEBUG or EMBEDDED or _flag("PLAIN_HTTP", default=False)
SECRET_KEY = env.str("SECRET_KEY", default=_secrets.get("SECRET_KEY", ""))
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY must be set to at least 50 random characters.")
ENCRYPTION_KEY = _key_ring("ENCRYPTION_KEY", default=_secrets.get("ENCRYPTION_KEY", ""))
if not ENCRYPTION_KEY:
    raise ImproperlyConfigured("ENCRYPTION_KEY must be 32 random bytes in URL-safe base64.")
ENCRYPTION_KEYS_OLD = _key_ring("ENCRYPTION_KEYS_OLD")
AUDIT_KEY = _key_ring("AUDIT_KEY", default=_secrets.get("AUDIT_KEY", ""))
AUDIT_KEYS_OLD = _key_ring("AUDIT_KEYS_OLD")
METRICS_TOKEN = env.str("METRICS_TOKEN", default=_secrets.get("METRICS_TOKEN", ""))

PORT = _whole("PORT", 8000, least=1)
HOST = env.str("HOST", default="127.0.0.1")
WEB_WORKERS = _whole("WEB_WORKERS", 1, least=1)
AWFDRS_DEMO = _flag("AWFDRS_DEMO", default=True)
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", HOST] if EMBEDDED else []
)
# Links in messages lead here; a path alone opens from no e-mail.
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://{HOST}:{PORT}" if EMBEDDED else "").rstrip("/")
if PUBLIC_URL and not re.fullmatch(r"https?://[^/\s]+", PUBLIC_URL):
    raise ImproperlyConfigured("PUBLIC_URL must be an address such as https://awfdrs.example.org.")
CORS_ORIGINS: list[str] = env.list("CORS_ORIGINS", default=[])

# --- what the product may do -------------------------------------------------------------------
MAX_RETRIES_PER_WORKFLOW = _whole("MAX_RETRIES_PER_WORKFLOW", 5)
MAX_RETRIES_PER_VENDOR = _whole("MAX_RETRIES_PER_VENDOR", 1000)
CIRCUIT_BREAKER_THRESHOLD = _whole("CIRCUIT_BREAKER_THRESHOLD", 10, least=1)
CIRCUIT_BREAKER_TIMEOUT_SECONDS = _whole("CIRCUIT_BREAKER_TIMEOUT_SECONDS", 300, least=1)
AI_MODE = env.str("AI_MODE", default="mock")
if AI_MODE != "mock":
    raise ImproperlyConfigured(
        f"AI_MODE={AI_MODE} is not available: only AI_MODE=mock (offline rules) starts."
    )
AI_CONFIDENCE_THRESHOLD = _share("AI_CONFIDENCE_THRESHOLD", 0.7)
ENABLE_AI_DETECTION = _flag("ENABLE_AI_DETECTION", default=True)
ENABLE_AI_RCA = _flag("ENABLE_AI_RCA", default=True)
ENABLE_AUTO_RETRY = _flag("ENABLE_AUTO_RETRY", default=True)
ENABLE_METRICS = _flag("ENABLE_METRICS", default=True)
METRICS_TENANT_LABELS = _flag("METRICS_TENANT_LABELS", default=True)
WORKER_PORT = _whole("WORKER_PORT", 0)
HEARTBEAT_URL = env.str("HEARTBEAT_URL", default="")
ENABLE_TRACING = _flag("ENABLE_TRACING", default=False)
if ENABLE_TRACING and not _is_installed("opentelemetry", "opentelemetry.exporter"):
    raise ImproperlyConfigured("ENABLE_TRACING needs: pip install -r requirements-tracing.txt")
if ENABLE_TRACING and not env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default=""):
    raise ImproperlyConfigured(
        "ENABLE_TRACING needs OTEL_EXPORTER_OTLP_ENDPOINT, such as http://collector:4318."
    )
EVENT_RETENTION_DAYS = _whole("EVENT_RETENTION_DAYS", 90, least=1)
INGEST_RATE_PER_KEY = _whole("INGEST_RATE_PER_KEY", 5000, least=1)
INGEST_BURST_PER_KEY = _whole("INGEST_BURST_PER_KEY", 10000, least=1)
INGEST_LANE = _flag("INGEST_LANE", default=True)
BACKLOG_BATCH_LIMIT = _whole("BACKLOG_BATCH_LIMIT", 1_000_000, least=1)
OUTBOUND_ALLOW_CIDRS = _networks("OUTBOUND_ALLOW_CIDRS")
AWFDRS_RULES_DIR = env.str("AWFDRS_RULES_DIR", default="")
AWF_FAILPOINTS = env.str("AWF_FAILPOINTS", default="")
if AWF_FAILPOINTS and not (DEBUG or EMBEDDED):
    raise ImproperlyConfigured("AWF_FAILPOINTS breaks the process on purpose: not in production.")

# --- Django ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "awfdrs_site.admin_app.AdministrationConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "awfdrs_site.apps.SiteConfig",
    "tenants.apps.TenantsConfig",
    "safety.apps.SafetyConfig",
    "events.apps.EventsConfig",
    "incidents.apps.IncidentsConfig",
    "actions.apps.ActionsConfig",
]

MIDDLEWARE = [
    "awfdrs_site.lib.correlation.CorrelationMiddleware",
    "awfdrs_site.lib.metrics.MetricsMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # pads at random, so that lengths tell nothing (BREACH)
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "awfdrs_site.lib.api_errors.problem_middleware",
    "csp.middleware.CSPMiddleware",
    "tenants.session_middleware.PersonSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tenants.middleware.TenantMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for whom it locked out
]
ROOT_URLCONF = "awfdrs_site.urls"
ASGI_APPLICATION = "awfdrs_site.asgi.application"
WSGI_APPLICATION = "awfdrs_site.wsgi.application"
APPEND_SLASH = False  # API paths answer with and without the slash themselves: no redirect on POST
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CSRF_FAILURE_VIEW = "awfdrs_site.lib.api_errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024  # the batch limit (5 MiB) is checked by ingest itself

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "safety.context.console",
                "actions.context.console",
                "awfdrs_site.outages.console",
            ],
        },
    }
]


def _database(url: str, *, owner: bool) -> dict[str, Any]:
    config: dict[str, Any] = environ.Env.db_url_config(url)
    config["ENGINE"] = "django.db.backends.postgresql"
    config["CONN_MAX_AGE"] = 0
    config["DISABLE_SERVER_SIDE_CURSORS"] = True  # PgBouncer in transaction mode
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    options["connect_timeout"] = 5
    if owner:
        # a migration that cannot have its lock gives up: whoever queues behind it would wait too
        options["options"] = "-c role=awf_owner -c lock_timeout=5s"
    else:
        options["pool"] = {
            "min_size": 0,
            "max_size": _whole("DATABASE_POOL_SIZE", 20, least=1),
            "timeout": _whole("DATABASE_POOL_TIMEOUT", 4, least=1),
        }
    return config


DATABASES = {
    "default": _database(DATABASE_URL, owner=False),
    "owner": _database(DATABASE_OWNER_URL or DATABASE_URL, owner=True),  # migrations only
}
DATABASE_LOGIN: str = DATABASES["default"]["USER"]

_REDIS_TIMEOUTS = {"socket_connect_timeout": 0.25, "socket_timeout": 0.5}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "CONNECTION_POOL_KWARGS": {
                "max_connections": _whole("REDIS_MAX_CONNECTIONS", 50, least=1),
                **_REDIS_TIMEOUTS,
            },
        },
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 0.25}]},
    }
}
# Sessions live in Postgres, so that FLUSHALL signs nobody out.
SESSION_ENGINE = "tenants.session_store"
SESSION_IDLE_MINUTES = _whole("SESSION_IDLE_MINUTES", 720, least=5)
SESSION_DAYS = _whole("SESSION_DAYS", 7, least=1)
SESSION_COOKIE_AGE = SESSION_DAYS * 86_400
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = not _PLAIN_HTTP
CSRF_COOKIE_SECURE = not _PLAIN_HTTP
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = CORS_ORIGINS
SECURE_SSL_REDIRECT = not _PLAIN_HTTP and _flag("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 0 if _PLAIN_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health", r"^metrics$"]  # probes talk to the pod, not the proxy
if _flag("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "tenants:sign-in"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",  # of before: replaced at the next sign-in
]
PASSWORD_RESET_TIMEOUT = 86_400
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it asks whether this one may try at all
    "allauth.account.auth_backends.AuthenticationBackend",
]
# ADR 0010: people who run the platform enter its administration with a second step.
STAFF_NEEDS_SECOND_STEP = _flag("STAFF_NEEDS_SECOND_STEP", default=not (DEBUG or EMBEDDED))
ACCOUNT_ADAPTER = "tenants.account_adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # they count in Redis; who tries too often is counted in Postgres below
MFA_ADAPTER = "tenants.account_adapter.SecondStepAdapter"
MFA_FORMS = {
    "authenticate": "tenants.second_step_forms.AuthenticateForm",
    "reauthenticate": "tenants.second_step_forms.ReauthenticateForm",
    "activate_totp": "tenants.second_step_forms.ActivateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "AWFDRS"
MFA_TOTP_TOLERANCE = 1  # a clock half a minute off still signs in
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses come from administrators: nobody signs up
AXES_FAILURE_LIMIT = _whole("SIGN_IN_ATTEMPTS", 10, least=3)
AXES_COOLOFF_TIME = timedelta(minutes=_whole("SIGN_IN_LOCK_MINUTES", 15, least=1))
AXES_LOCKOUT_PARAMETERS = "tenants.lockout.counted_by"
AXES_LOCKOUT_CALLABLE = "tenants.lockout.answer"
AXES_CLIENT_IP_CALLABLE = "tenants.lockout.address_of"
AXES_USERNAME_CALLABLE = "tenants.lockout.name_of"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # a lock ends when it said it would
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # we show less of it, see awfdrs_site/admin.py
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default="") or AWFDRS_DATA / "static")
if EMBEDDED:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of a missing one
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="") or (
    "django.core.mail.backends.filebased.EmailBackend"
    if EMBEDDED
    else "django.core.mail.backends.smtp.EmailBackend"
)
EMAIL_FILE_PATH = str(AWFDRS_DATA / "mail")
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = _whole("EMAIL_PORT", 25, least=1)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = _flag("EMAIL_USE_TLS", default=False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="awfdrs@localhost")

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["awfdrs_site.lib.bodies.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.auth.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "EXCEPTION_HANDLER": "awfdrs_site.lib.api_errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AWFDRS",
    "DESCRIPTION": "Failure events in, incidents and safe recovery out.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {  # several resources have a `status`, and none of them is another's
        "IncidentStatus": "incidents.states.Status",
        "ActionStatus": "actions.states.Status",
        "AttemptStatus": "actions.states.AttemptStatus",
        "CampaignStatus": "actions.states.CampaignStatus",
        "CampaignRunState": "actions.states.CampaignRunState",
        "RunState": "incidents.states.RunState",
        "ApprovalStatus": "actions.states.ApprovalStatus",
        "DeliveryStatus": "actions.states.DeliveryStatus",
        "DecisionKind": "incidents.states.DecisionKind",
        "SwitchScope": "safety.states.SwitchScope",
        "StoppedScope": ["global", "tenant", "workflow", "vendor", "action_type"],
        "EventStatus": ["accepted"],
        "EventVerdict": ["accepted", "replayed", "rejected"],
        "Liveness": ["ok"],
        "Readiness": ["ready", "degraded"],
        "RedisState": ["ok", "failing"],
    },
}

CELERY_BROKER_URL = REDIS_URL

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "awfdrs_site.lib.logs.json_formatter"}},
    "handlers": {"stderr": {"class": "awfdrs_site.lib.logsink.Sink", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "level": LOG_LEVEL, "propagate": False},
        "axes": {"level": "WARNING"},  # else four lines for every sign-in
        "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
