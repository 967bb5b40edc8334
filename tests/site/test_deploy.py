"""The files that people deploy with hold together: checked without a cluster, and by the real tools where they are."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client
from django.urls import resolve

from awfdrs_site import web
from tests.support import deploy_schemas

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
MONITORING = ROOT / "deploy" / "monitoring"
CHECKERS = Path(sys.prefix) / "checkers"
# Read by PostgreSQL's and Valkey's images, by the demo and by the image itself.
_NOT_OURS = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "AWF_LOGIN_PASSWORD"}
_NOT_OURS |= {"REDISCLI_AUTH", "DEMO_PASSWORD", "POD_IP", "PUBLIC_HOSTS"}
_SUFFIX = re.compile(r"_(total|count|sum|bucket|created)$")
_PROMQL = re.compile(r"\b[a-z][a-z0-9_]*_[a-z0-9_]+\b(?!\s*[(:])")
_LABELS = {"tenant_id", "workflow_id", "action_type", "limit_type", "status_code", "attempt_number"}


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def objects(kind: str = "") -> list[dict[str, Any]]:
    """Ours of Kubernetes, as the kustomization names them."""
    names = yaml.safe_load((K8S / "kustomization.yaml").read_text())["resources"]
    found = [one for name in names for one in yaml.safe_load_all((K8S / name).read_text())]
    return [one for one in found if not kind or one["kind"] == kind]


def pods() -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in objects()
        if "template" in one.get("spec", {})
    }


def containers() -> Iterator[dict[str, Any]]:
    for pod in pods().values():
        yield from pod["spec"].get("initContainers", [])
        yield from pod["spec"]["containers"]


def settings_read() -> set[str]:
    """Every name that settings ask the environment for."""
    source = (ROOT / "awfdrs_site" / "settings.py").read_text()
    asked = r'(?:env\.\w+|_whole|_flag|_share|_networks|_key_ring)\(\s*"([A-Z_]+)"'
    return set(re.findall(asked, source))


def fits(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", [])
    )


def test_every_setting_is_in_the_example_environment() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    assert settings_read() - named <= {"AWF_FAILPOINTS"}  # it breaks processes on purpose
    assert named <= settings_read()


# --- Compose ------------------------------------------------------------------------------------


def test_compose_uses_the_keys_that_compose_knows() -> None:
    jsonschema.validate(compose(), deploy_schemas.COMPOSE)


def test_compose_starts_everything_in_an_order_that_ends() -> None:
    services = compose()["services"]
    assert {"postgres", "valkey", "migrate", "seed", "web", "worker", "beat"} == services.keys()
    started: set[str] = set()
    while len(started) < len(services):
        ready = {
            name
            for name, service in services.items()
            if service.get("depends_on", {}).keys() <= started
        }
        assert ready > started, f"{services.keys() - started} wait for each other"
        started = ready
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            is_asked = how["condition"] == "service_healthy"
            assert not is_asked or "test" in services[needed]["healthcheck"] or needed == "web"


def test_compose_hands_on_every_setting_that_its_environment_file_may_hold() -> None:
    handed_on = compose()["x-environment"].keys()
    of_the_image = {"AWFDRS_DATA", "STATIC_ROOT", "AWF_FAILPOINTS"}
    of_make_run = {"HOST", "PORT", "WEB_WORKERS", "AWFDRS_DEMO"}
    of_one_service = {"DATABASE_OWNER_URL", "DEBUG", "WORKER_PORT"}
    assert settings_read() - handed_on == of_the_image | of_make_run | of_one_service


def test_compose_sets_only_what_somebody_reads() -> None:
    known = settings_read() | _NOT_OURS
    for name, service in compose()["services"].items():
        assert service.get("environment", {}).keys() <= known, name


def test_compose_takes_every_secret_from_the_environment_file_that_a_script_makes() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    printed = subprocess.run(
        ["sh", str(ROOT / "deploy" / "make_env.sh")], capture_output=True, text=True, check=True
    ).stdout
    made = dict(line.split("=", 1) for line in printed.splitlines())
    assert made.keys() == demanded
    assert len(made["SECRET_KEY"]) >= 50
    assert len(set(made.values())) == len(made)
    secrets = {name for name in demanded if name.endswith(("KEY", "PASSWORD", "TOKEN"))}
    assert secrets == demanded, "what is no secret has a default"


def test_compose_keeps_what_must_last_in_named_volumes_only() -> None:
    services, volumes = compose()["services"], compose()["volumes"]
    mounted = [v.split(":")[0] for s in services.values() for v in s.get("volumes", [])]
    named = {source for source in mounted if not source.startswith(".")}
    assert named == volumes.keys()
    assert all((ROOT / source).exists() for source in mounted if source.startswith("."))


def test_images_are_named_with_a_version() -> None:
    images = {service["image"] for service in compose()["services"].values()}
    froms = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for image in images - {"awfdrs:latest"} | set(froms):
        assert re.search(r":\d", image), image


# --- the image ----------------------------------------------------------------------------------


def test_the_image_runs_as_a_number_that_is_not_root_and_says_how_it_is() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert (
        text.index("USER ")
        < text.index("collectstatic")
        < text.index('CMD ["python", "-m", "awfdrs_site.web"')
    )


def test_what_must_stay_out_of_the_image_is_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env", ".env.*", "var", ".venv"} <= set(ignored)


def test_the_health_check_tells_answers_from_silence() -> None:
    check = [sys.executable, "deploy/alive.py", "http://127.0.0.1:1/health"]
    assert subprocess.run(check, cwd=ROOT, capture_output=True, check=False).returncode == 1


# --- Kubernetes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("one", objects(), ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_an_object_has_the_fields_that_kubernetes_asks_for(one: dict[str, Any]) -> None:
    jsonschema.validate(one, deploy_schemas.of_kind(one["kind"]))


def test_selectors_select_pods_that_there_are() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods().items()}
    for one in objects("Deployment"):
        assert fits(one["spec"]["selector"], labels[one["metadata"]["name"]])
    for one in objects("Service"):
        assert any(one["spec"]["selector"].items() <= found.items() for found in labels.values())
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for one in objects(kind):
            assert any(fits(one["spec"][key], found) for found in labels.values()), one
    selectors = [one["spec"]["selector"]["matchLabels"] for one in objects("Deployment")]
    assert len({tuple(selector.items()) for selector in selectors}) == len(selectors)


def test_what_is_referred_to_exists_or_is_one_of_the_two_secrets_people_make() -> None:
    configs = {one["metadata"]["name"]: one["data"] for one in objects("ConfigMap")}
    accounts = {one["metadata"]["name"] for one in objects("ServiceAccount")}
    for name, pod in pods().items():
        assert pod["spec"]["serviceAccountName"] in accounts
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            for source in container["envFrom"]:
                config, secret = source.get("configMapRef"), source.get("secretRef")
                assert config is None or config["name"] in configs
                owner = {"awfdrs-owner"} if name == "awfdrs-migrate" else set()
                assert secret is None or secret["name"] in {"awfdrs"} | owner
            for pair in container.get("env", []):
                named = pair.get("valueFrom", {}).get("configMapKeyRef")
                assert named is None or named["key"] in configs[named["name"]]
    deployments = {one["metadata"]["name"] for one in objects("Deployment")}
    for one in objects("HorizontalPodAutoscaler"):
        assert one["spec"]["scaleTargetRef"]["name"] in deployments


def test_kubernetes_sets_only_what_somebody_reads() -> None:
    known = settings_read() | _NOT_OURS
    for one in objects("ConfigMap"):
        assert one["data"].keys() <= known
    for container in containers():
        assert {pair["name"] for pair in container.get("env", [])} <= known


def test_probes_ask_ports_that_are_open_and_paths_that_answer() -> None:
    for pod in pods().values():
        for container in pod["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            for probe in probes:
                port = ports[probe["httpGet"]["port"]]
                path = probe["httpGet"]["path"]
                assert port == 9100 or resolve(path)
                assert port != 9100 or path == "/health"


def test_the_graceful_ends_fit_into_each_other() -> None:
    """What is under way may end before anybody is killed."""
    pod = pods()["awfdrs-web"]["spec"]
    wait = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    ending = web.DRAIN_SECONDS + web.GRACEFUL_SECONDS
    assert wait + ending < pod["terminationGracePeriodSeconds"]


# --- monitoring ---------------------------------------------------------------------------------


def asked_in(expression: str) -> set[str]:
    """Names of metrics in PromQL: whatever has an underscore, is no function and is no label."""
    plain = re.sub(r'"[^"]*"', "", expression)
    return (
        {_SUFFIX.sub("", name) for name in _PROMQL.findall(plain)}
        - _LABELS
        - {"histogram_quantile"}
    )


@pytest.fixture
def exposed(db: None, client: Client) -> set[str]:
    text = client.get("/metrics").content.decode()
    return {_SUFFIX.sub("", line.split()[2]) for line in text.splitlines() if "# TYPE" in line}


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(exposed: set[str]) -> None:
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {name for text in targets + [rule["expr"] for rule in rules] for name in asked_in(text)}
    assert asked <= exposed
    assert {"event_backlog_seconds", "unknown_actions", "lease_expiries"} <= asked


def test_alerts_say_what_it_is_and_what_to_do() -> None:
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert {"summary", "description"} == rule["annotations"].keys()


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for at in (panel["gridPos"] for panel in panels):
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


# --- the real tools, where they are (`make checkers` fetches them) --------------------------------


def run(*command: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:{CHECKERS}")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_accepts_the_alerts_and_they_fire_when_they_should() -> None:
    checked = run("promtool", "check", "rules", "deploy/monitoring/alerts.yml")
    assert checked.returncode == 0, checked.stderr
    tested = run("promtool", "test", "rules", "deploy/monitoring/alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_kubectl_builds_the_kustomization() -> None:
    built = run("kubectl", "kustomize", "deploy/k8s")
    assert built.returncode == 0, built.stderr
    made = list(yaml.safe_load_all(built.stdout))
    assert len(made) == len(objects())
    images = re.findall(r"image: (\S+)", built.stdout)
    assert {name.rpartition(":")[0] for name in images} == {"registry.example.org/awfdrs"}


@pytest.fixture
def known_to_compose() -> Any:
    """Compose's own schema, as the release that Debian has brings it along."""
    schema = CHECKERS / "compose_spec.json"
    if not schema.exists():
        pytest.skip("there is no schema of Compose (make checkers fetches it)")
    return jsonschema.Draft201909Validator(json.loads(schema.read_text()))


def test_composes_own_schema_accepts_the_compose_file(known_to_compose: Any) -> None:
    ours = compose()
    del ours["name"]  # of later releases
    known_to_compose.validate(ours)
    # the control: it knows what a service may say
    ours["services"]["web"]["comand"] = ["python"]
    assert not known_to_compose.is_valid(ours)


def test_docker_accepts_the_compose_file(tmp_path: Path) -> None:
    if run("docker", "compose", "version").returncode:
        pytest.skip("docker compose is not installed")
    made = run("sh", "deploy/make_env.sh").stdout
    (tmp_path / "env").write_text(made)
    read = run("docker", "compose", "--env-file", str(tmp_path / "env"), "config", "--quiet")
    assert read.returncode == 0, read.stderr
