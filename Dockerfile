# One image for web, worker, beat, migrate and every manage.py command.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/awfdrs
# requirements-tracing.txt adds OpenTelemetry
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-tracing.txt /tmp/
RUN /opt/awfdrs/bin/pip install --requirement /tmp/${REQUIREMENTS}

FROM python:3.11-slim-bookworm
# A number, so that Kubernetes can see that it is not root.
RUN groupadd --gid 10001 awfdrs \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin awfdrs \
    && mkdir /var/lib/awfdrs /srv/static \
    && chown awfdrs:awfdrs /var/lib/awfdrs /srv/static
COPY --from=build /opt/awfdrs /opt/awfdrs
WORKDIR /app
COPY . .
ENV PATH=/opt/awfdrs/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AWFDRS_DATA=/var/lib/awfdrs \
    STATIC_ROOT=/srv/static
USER 10001:10001
# The values are of no use anywhere but in this line: settings want some.
RUN DATABASE_URL=postgresql://none@127.0.0.1:1/none \
    SECRET_KEY=of-no-use-anywhere-but-while-the-image-is-built-0123456789 \
    ENCRYPTION_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= \
    python manage.py collectstatic --no-input --verbosity 0
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: a database that is away is no reason to kill web servers.
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "deploy/alive.py", "http://127.0.0.1:8000/api/v1/health"]
CMD ["python", "-m", "awfdrs_site.web", "--host", "0.0.0.0", "--port", "8000"]
