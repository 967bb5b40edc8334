"""What Compose and Kubernetes ask of the keys that our files use: a misspelt one fails without a cluster."""

from typing import Any

TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
NAMED = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}
DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}


def closed(required: str = "", **properties: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


_HEALTH = closed(
    test={"type": "array", "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}], "minItems": 2},
    interval=DURATION,
    timeout=DURATION,
    start_period=DURATION,
    retries={"type": "integer", "minimum": 1},
    disable={"type": "boolean"},
)
_AFTER = closed(
    "condition",
    condition={"enum": ["service_started", "service_healthy", "service_completed_successfully"]},
)
_SERVICE = closed(
    "image restart",
    image={"type": "string"},
    build={"type": "string"},
    init={"type": "boolean"},
    read_only={"type": "boolean"},
    restart={"type": "string", "pattern": "^(no|always|unless-stopped|on-failure(:[0-9]+)?)$"},
    cap_drop=TEXTS,
    security_opt=TEXTS,
    tmpfs=TEXTS,
    command=TEXTS,
    # nothing: whatever the environment file says
    environment={"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    ports=many({"type": "string", "pattern": r"^127\.0\.0\.1:[^:]+(:-[0-9]+\})?:[0-9]+$"}),
    volumes=TEXTS,
    shm_size={"type": "string", "pattern": "^[0-9]+(kb|mb|gb)$"},
    stop_grace_period=DURATION,
    healthcheck=_HEALTH,
    depends_on={"type": "object", "additionalProperties": _AFTER, "minProperties": 1},
)
COMPOSE = {
    **closed(
        "name services volumes",
        name=NAMED,
        services={"type": "object", "additionalProperties": _SERVICE},
        volumes={"type": "object", "additionalProperties": {"type": "null"}},
    ),
    "patternProperties": {"^x-": {}},
}

_REFERENCE = closed("name", name=NAMED)
_LABELLED = closed(
    matchLabels=STRINGS,
    matchExpressions=many(
        closed(
            "key operator",
            key={"type": "string"},
            operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
            values=TEXTS,
        )
    ),
)
_GET = closed(
    "path port", path={"type": "string", "pattern": "^/"}, port={"type": ["string", "integer"]}
)
_PROBE = closed(
    "httpGet",
    httpGet=_GET,
    periodSeconds={"type": "integer", "minimum": 1},
    timeoutSeconds={"type": "integer", "minimum": 1},
    failureThreshold={"type": "integer", "minimum": 1},
)
_AMOUNTS = closed(
    "memory",
    cpu={"type": "string", "pattern": "^[0-9]+m?$"},
    memory={"type": "string", "pattern": "^[0-9]+(Mi|Gi)$"},
)
_FROM = closed(
    fieldRef=closed("fieldPath", fieldPath={"const": "status.podIP"}),
    configMapKeyRef=closed("name key", name=NAMED, key={"type": "string"}),
    secretKeyRef=closed("name key", name=NAMED, key={"type": "string"}),
)
_CONTAINER = closed(
    "name image securityContext resources volumeMounts",
    name=NAMED,
    image={"const": "awfdrs"},
    command=TEXTS,
    envFrom=many(closed(configMapRef=_REFERENCE, secretRef=_REFERENCE)),
    env=many(
        {
            **closed("name", name={"type": "string"}, value={"type": "string"}, valueFrom=_FROM),
            "oneOf": [{"required": ["value"]}, {"required": ["valueFrom"]}],
        }
    ),
    ports=many(
        closed("name containerPort", name=NAMED, containerPort={"type": "integer", "minimum": 1})
    ),
    startupProbe=_PROBE,
    livenessProbe=_PROBE,
    readinessProbe=_PROBE,
    lifecycle=closed(preStop=closed("exec", exec=closed("command", command=TEXTS))),
    securityContext=closed(
        "allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
        allowPrivilegeEscalation={"const": False},
        readOnlyRootFilesystem={"const": True},
        capabilities=closed("drop", drop={"const": ["ALL"]}),
    ),
    resources=closed("requests limits", requests=_AMOUNTS, limits=_AMOUNTS),
    volumeMounts=many(
        closed("name mountPath", name=NAMED, mountPath={"type": "string", "pattern": "^/"})
    ),
)
_POD = closed(
    "serviceAccountName automountServiceAccountToken enableServiceLinks securityContext containers volumes",
    serviceAccountName=NAMED,
    automountServiceAccountToken={"const": False},
    enableServiceLinks={"const": False},  # else a Service's name may become one of our settings
    terminationGracePeriodSeconds={"type": "integer", "minimum": 30},
    restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
    securityContext=closed(
        "runAsNonRoot runAsUser seccompProfile",
        runAsNonRoot={"const": True},
        runAsUser={"type": "integer", "minimum": 1000},
        runAsGroup={"type": "integer", "minimum": 1000},
        fsGroup={"type": "integer", "minimum": 1000},
        seccompProfile=closed("type", type={"const": "RuntimeDefault"}),
    ),
    topologySpreadConstraints=many(
        closed(
            "maxSkew topologyKey whenUnsatisfiable labelSelector",
            maxSkew={"type": "integer", "minimum": 1},
            topologyKey={"type": "string"},
            whenUnsatisfiable={"enum": ["ScheduleAnyway", "DoNotSchedule"]},
            labelSelector=_LABELLED,
        )
    ),
    initContainers=many(_CONTAINER),
    containers=many(_CONTAINER),
    volumes=many(closed("name emptyDir", name=NAMED, emptyDir={"type": "object"})),
)
_TEMPLATE = closed(
    "metadata spec",
    metadata=closed("labels", labels=STRINGS, annotations=STRINGS),
    spec=_POD,
)
_PORT = closed(
    "protocol port",
    protocol={"enum": ["TCP", "UDP"]},
    port={"type": "integer", "minimum": 1, "maximum": 65535},
)
_PEER = closed(
    podSelector=_LABELLED,
    namespaceSelector=_LABELLED,
    ipBlock={
        **closed(
            "cidr",
            cidr={"type": "string"},
            **{"except": TEXTS},
        )
    },
)
_SPECS: dict[str, Any] = {
    "Deployment": closed(
        "selector template",
        replicas={"type": "integer", "minimum": 1},
        selector=_LABELLED,
        strategy=closed(
            "type",
            type={"enum": ["RollingUpdate", "Recreate"]},
            rollingUpdate=closed(
                maxUnavailable={"type": ["integer", "string"]},
                maxSurge={"type": ["integer", "string"]},
            ),
        ),
        template=_TEMPLATE,
    ),
    "Job": closed(
        "template",
        backoffLimit={"type": "integer"},
        ttlSecondsAfterFinished={"type": "integer"},
        template=_TEMPLATE,
    ),
    "Service": closed(
        "selector ports",
        selector=STRINGS,
        ports=many(
            closed(
                "name port targetPort",
                name=NAMED,
                port={"type": "integer"},
                targetPort={"type": ["string", "integer"]},
            )
        ),
    ),
    "HorizontalPodAutoscaler": closed(
        "scaleTargetRef minReplicas maxReplicas metrics",
        scaleTargetRef=closed(
            "apiVersion kind name",
            apiVersion={"const": "apps/v1"},
            kind={"const": "Deployment"},
            name=NAMED,
        ),
        minReplicas={"type": "integer", "minimum": 1},
        maxReplicas={"type": "integer", "minimum": 1},
        metrics=many(
            closed(
                "type resource",
                type={"const": "Resource"},
                resource=closed(
                    "name target",
                    name={"enum": ["cpu", "memory"]},
                    target=closed(
                        "type averageUtilization",
                        type={"const": "Utilization"},
                        averageUtilization={"type": "integer", "minimum": 1, "maximum": 100},
                    ),
                ),
            )
        ),
        behavior=closed(scaleDown=closed(stabilizationWindowSeconds={"type": "integer"})),
    ),
    "PodDisruptionBudget": closed(
        "selector", minAvailable={"type": ["integer", "string"]}, selector=_LABELLED
    ),
    "NetworkPolicy": closed(
        "podSelector policyTypes",
        podSelector=_LABELLED,
        policyTypes=many({"enum": ["Ingress", "Egress"]}),
        ingress=many(
            {**closed(ports=many(_PORT)), "properties": {"from": many(_PEER), "ports": many(_PORT)}}
        ),
        egress=many(closed(to=many(_PEER), ports=many(_PORT))),
    ),
}
_VERSIONS = {
    "Namespace": "v1",
    "ConfigMap": "v1",
    "ServiceAccount": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def of_kind(kind: str) -> dict[str, Any]:
    """The schema of one of our Kubernetes objects; KeyError for a kind that we do not use."""
    own: dict[str, Any] = {
        "apiVersion": {"const": _VERSIONS[kind]},
        "kind": {"const": kind},
        "metadata": closed("name", name=NAMED, labels=STRINGS),
    }
    required = "apiVersion kind metadata"
    if kind in _SPECS:
        own["spec"] = _SPECS[kind]
        required += " spec"
    if kind == "ConfigMap":
        own["data"] = STRINGS
    if kind == "ServiceAccount":
        own["automountServiceAccountToken"] = {"const": False}
    return closed(required, **own)
