#!/bin/sh
# Runs once, on an empty data directory: the login that serves. It owns nothing; `migrate` grants it its roles.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set password="$AWF_LOGIN_PASSWORD" <<'END'
create role awf_login login noinherit password :'password';
END
