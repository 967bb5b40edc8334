"""The only list of security mutants: what is broken on purpose, and the tests that have to notice."""

from dataclasses import dataclass

from tenants.walls import OF_TENANT, SEEN


@dataclass(frozen=True)
class Mutant:
    """`before` stands once in `file`; without a file, `before` and `after` are SQL that does it and undoes it."""

    name: str
    before: str
    after: str
    tests: tuple[str, ...]
    file: str = ""


CATALOG = "tests/architecture/test_walls_catalog.py::"
IN_USE = "tests/architecture/test_walls_in_use.py::"
MATRIX = "tests/api/test_access_matrix.py::"
WALLS = "tests/security/test_walls_over_http.py::"
FOREIGN_KEY = "incidents_incident_previous_id_of_tenant"

MUTANTS = (
    Mutant(
        "the tenant's filter is gone from every query",
        "scoped = self.filter(tenant_id=tenant_id)",
        "scoped = self.all()",
        ("tests/tenants/test_scoping.py::test_for_tenant_takes_the_tenant_or_its_id",),
        "tenants/querysets.py",
    ),
    Mutant(
        "a foreign thing is answered 403 instead of 404",
        "        raise Http404 from None",
        '        raise Problem("forbidden") from None',
        (f"{MATRIX}test_the_thing_is_looked_up_before_the_body_is_judged",),
        "tenants/api.py",
    ),
    Mutant(
        "the API asks for no verb",
        "if not self.caller.may(verb):",
        "if False:",
        (f"{WALLS}test_a_viewer_changes_nothing_by_any_route",),
        "tenants/api.py",
    ),
    Mutant(
        "the console asks for no verb",
        "if not caller.may(verb):",
        "if False:",
        (f"{WALLS}test_a_viewer_changes_nothing_by_any_route",),
        "tenants/access.py",
    ),
    Mutant(
        "row-level security is off for one table",
        "alter table incidents_incident disable row level security",
        "alter table incidents_incident enable row level security",
        (f"{CATALOG}test_every_tenants_table_and_partition_has_a_forced_wall",),
    ),
    Mutant(
        "one policy lets every row through",
        "alter policy app on incidents_incident using (true) with check (true)",
        f"alter policy app on incidents_incident using ({SEEN}) with check ({OF_TENANT})",
        (f"{IN_USE}test_raw_sql_in_a_tenants_block_sees_that_tenant_only",),
    ),
    Mutant(
        "the tenant stays on the connection",
        "set_config('awf.tenant', %s, true), awf_now()",
        "set_config('awf.tenant', %s, false), awf_now()",
        (f"{WALLS}test_alternating_requests_over_one_connection_leave_no_tenant_behind",),
        "tenants/scoping.py",
    ),
    Mutant(
        "a tenant's block takes the platform's role",
        "_block(Block(APP, tenant_id)",
        "_block(Block(PLATFORM, tenant_id)",
        (f"{IN_USE}test_raw_sql_in_a_tenants_block_sees_that_tenant_only",),
        "tenants/scoping.py",
    ),
    Mutant(
        "a row may point to another tenant's",
        f"alter table incidents_incident drop constraint {FOREIGN_KEY}",
        f"alter table incidents_incident add constraint {FOREIGN_KEY}"
        " foreign key (tenant_id, previous_id) references incidents_incident (tenant_id, id)",
        (f"{IN_USE}test_a_row_cannot_point_to_another_tenants_row",),
    ),
    Mutant(
        "the owner may rewrite the journal",
        "alter table tenants_journalentry disable trigger append_only",
        "alter table tenants_journalentry enable trigger append_only",
        ("tests/tenants/test_sealing.py::test_the_owner_is_refused_too",),
    ),
    Mutant(
        "a key's secret is compared with ==",
        'fits = hmac.compare_digest(given, bytes(row["secret_hash"]))',
        'fits = given == bytes(row["secret_hash"])',
        ("tests/security/test_comparing.py::test_a_keys_secret_is_compared_in_constant_time",),
        "tenants/auth.py",
    ),
    Mutant(
        "an expired key is still good",
        'or not _secret_fits(row, secret) or row["is_over"]',
        "or not _secret_fits(row, secret)",
        ("tests/tenants/test_auth.py::test_a_key_ends_when_it_expires",),
        "tenants/auth.py",
    ),
    Mutant(
        "a session writes through the API without its CSRF token",
        "        _ask_for_csrf_token(request._request)\n",
        "",
        (f"{MATRIX}test_a_session_needs_its_csrf_token_to_write",),
        "tenants/auth.py",
    ),
    Mutant(
        "CSRF is off in the console",
        '    "django.middleware.csrf.CsrfViewMiddleware",\n',
        "",
        ("tests/security/test_headers.py::test_a_form_without_its_token_is_refused",),
        "awfdrs_site/settings.py",
    ),
    Mutant(
        "pages say no content policy",
        '    "csp.middleware.CSPMiddleware",\n',
        "",
        ("tests/security/test_headers.py::test_every_kind_of_answer_carries_its_headers",),
        "awfdrs_site/settings.py",
    ),
    Mutant(
        "another site's page may listen to the feed",
        '"websocket": AllowedHostsOriginValidator(',
        '"websocket": (',
        ("tests/site/test_feed.py::test_another_sites_page_may_not_listen",),
        "awfdrs_site/asgi.py",
    ),
    Mutant(
        "nobody who guesses is locked out",
        '    "axes.backends.AxesStandaloneBackend",'
        "  # first: it asks whether this one may try at all\n",
        "",
        ("tests/tenants/test_door.py::test_whoever_guesses_is_locked_out_and_nobody_else_is",),
        "awfdrs_site/settings.py",
    ),
    Mutant(
        "calls may reach our own network",
        "return any(address in network for network in DENIED_V4)",
        "return False",
        (
            "tests/actions/test_ssrf.py::test_every_listed_url_is_refused_and_the_canary_is_never_hit",
        ),
        "actions/transport/addresses.py",
    ),
    Mutant(
        "people approve what they asked for",
        "        raise OwnRequest\n",
        "        pass\n",
        ("tests/actions/test_approvals.py::test_whoever_asked_does_not_approve_and_may_withdraw",),
        "actions/voting.py",
    ),
    Mutant(
        "a secret opens in any row",
        "return tenant_id.bytes + row_id.bytes",
        'return b""',
        ("tests/tenants/test_secrets.py::test_a_value_copied_to_another_row_cannot_be_read",),
        "tenants/secrets.py",
    ),
    Mutant(
        "an unannounced body is read whole",
        "if came > limit:",
        "if False:",
        ("tests/api/test_body_limit.py::test_a_body_without_announcement_is_cut_off_at_the_limit",),
        "awfdrs_site/asgi.py",
    ),
    Mutant(
        "logs hide nothing by name",
        "HIDDEN if SECRET_NAME.search(name) else scrub(value)",
        "scrub(value)",
        ("tests/site/test_planted_secrets.py::test_thirty_planted_secrets_are_in_no_log_line",),
        "awfdrs_site/lib/scrubbing.py",
    ),
    Mutant(
        "an audit cell is a spreadsheet's formula",
        'return f"\'{cell}" if cell.startswith(_COMPUTES) else cell',
        "return cell",
        ("tests/tenants/test_audit.py::test_a_spreadsheet_computes_nothing_that_somebody_typed",),
        "tenants/audit_export.py",
    ),
    Mutant(
        "anybody reads the metrics",
        "return address in LOOPBACK and not any(name in headers for name in _FORWARDED)",
        "return True",
        ("tests/api/test_metrics.py::test_only_loopback_and_the_token_may_read",),
        "awfdrs_site/metrics.py",
    ),
)
