#!/bin/sh
# Prints a fresh .env for docker compose: `sh deploy/make_env.sh > .env`, once. Keep it: it holds the keys of the data.
set -eu
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
cat <<END
SECRET_KEY=$(random)$(random)
ENCRYPTION_KEY=$(random)=
AUDIT_KEY=$(random)=
POSTGRES_PASSWORD=$(random)
AWF_LOGIN_PASSWORD=$(random)
REDIS_PASSWORD=$(random)
METRICS_TOKEN=$(random)
DEMO_PASSWORD=$(random | cut -c 1-16)
END
