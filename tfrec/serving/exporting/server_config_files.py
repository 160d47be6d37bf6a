"""Writes the configuration files of TF Serving, Docker and Kubernetes beside the versions of a model."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tfrec.errors import InvalidInput
from tfrec.files import AlreadyExists, write_text
from tfrec.serving.version_folders import version_folders

IMAGE: Final = "tensorflow/serving:2.20.0"
MODELS_CONFIG: Final = "serving/models.config"

_NEWEST: Final = "latest { num_versions: 1 }"
_MODELS = """\
# Which versions are served. A server that polls this file (--model_config_file_poll_wait_seconds) follows a change.
# `tfrec label` rewrites it to pin versions and name them stable and canary.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ {policy} }}
{labels}  }}
}}
"""

_BATCHING = """\
max_batch_size { value: 64 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 4 }
allowed_batch_sizes: 1
allowed_batch_sizes: 4
allowed_batch_sizes: 16
allowed_batch_sizes: 64
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

# Ports on loopback only: TF Serving has no authentication, so put a proxy that has in front of it.
_COMPOSE = """\
services:
  {service}:
    image: {image}
    restart: unless-stopped
    ports: ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    volumes: ["./:/models/{name}:ro"]
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: {memory}m
    stop_grace_period: 30s
    command:
      - --model_config_file=/models/{name}/serving/models.config
      - --model_config_file_poll_wait_seconds=60
      - --allow_version_labels_for_unavailable_models=true
      - --enable_batching=true
      - --batching_parameters_file=/models/{name}/serving/batching.config
      - --monitoring_config_file=/models/{name}/serving/monitoring.config
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8501"]
      interval: 10s
      timeout: 3s
      start_period: 120s
"""

_KUBERNETES = """\
# Put the export on the volume of the claim below, as the folder {name}/, then: kubectl apply -f kubernetes.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}
  labels: {{app.kubernetes.io/name: {service}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app.kubernetes.io/name: {service}}}
  strategy:
    rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: {service}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: serving
          image: {image}
          args:
            - --model_config_file=/models/{name}/serving/models.config
            - --model_config_file_poll_wait_seconds=60
            - --allow_version_labels_for_unavailable_models=true
            - --enable_batching=true
            - --batching_parameters_file=/models/{name}/serving/batching.config
            - --monitoring_config_file=/models/{name}/serving/monitoring.config
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          # The metadata route answers 200 only once a version is loaded and warm.
          startupProbe:
            httpGet: {{path: "/v1/models/{path}/metadata", port: rest}}
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: "/v1/models/{path}/metadata", port: rest}}
            periodSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            periodSeconds: 10
            failureThreshold: 6
          resources:
            requests: {{cpu: "1", memory: {memory}Mi}}
            limits: {{memory: {memory}Mi}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          volumeMounts:
            - {{name: models, mountPath: "/models/{name}", subPath: "{name}", readOnly: true}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: {service}-models, readOnly: true}}
        - name: tmp
          emptyDir: {{}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {service}-models
spec:
  accessModes: [ReadOnlyMany]
  resources:
    requests: {{storage: {storage}Gi}}
---
apiVersion: v1
kind: Service
metadata:
  name: {service}
spec:
  selector: {{app.kubernetes.io/name: {service}}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {service}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{app.kubernetes.io/name: {service}}}
"""


def write_serving_files(folder: Path) -> None:
    """Writes `serving/*.config`, `docker-compose.yaml` and `kubernetes.yaml` into a model folder.

    Existing files are kept, as they may have been edited. The memory limits allow for the largest version twice (a
    server loads a new version before it drops the old one) and 1 GiB of working memory.

    Args:
        folder: `saved_models/NAME`.

    Raises:
        InvalidInput: `check_model_name` refuses NAME.
    """
    name = folder.name
    check_model_name(name)
    size = max((_bytes_of(version) for version in _versions(folder).values()), default=0)
    values = {
        "name": name,
        "path": quote(name),
        "image": IMAGE,
        "service": _service_name(name),
        "memory": 256 * math.ceil((2**30 + 2 * size) / 2**28),
        "storage": math.ceil(1 + 10 * size / 2**30),
    }
    for path, text in {
        MODELS_CONFIG: _models_config(name),
        "serving/batching.config": _BATCHING,
        "serving/monitoring.config": _MONITORING,
        "docker-compose.yaml": _COMPOSE.format(**values),
        "kubernetes.yaml": _KUBERNETES.format(**values),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / path).exists():
            with contextlib.suppress(AlreadyExists):  # of another export, just now
                write_text(folder / path, text, replace=False)


def check_model_name(name: str) -> None:
    """Raises `InvalidInput` if a name cannot stand in a URL of TF Serving or in the files of `write_serving_files`."""
    if not re.fullmatch(r"[\w .-]+", name) or not name.strip(". "):
        raise InvalidInput(
            f"Expected a model name of letters, digits, spaces, dots, dashes and underscores, received {name!r}. "
            "Choose another name for the folder."
        )


def _service_name(name: str) -> str:
    """A name for Kubernetes and compose: lower-case letters, digits and dashes, a letter first, no YAML literal."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    fits = re.match("[a-z]", plain) and plain not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
    return plain if fits else f"model-{plain}".strip("-")


def label_versions(folder: str | Path, labels: Mapping[str, int]) -> Path:
    """Pins and labels versions of a model, e.g. `{"stable": 3, "canary": 4}`.

    To roll out a version, label it canary and later stable; to roll back, label the old version stable. Clients that
    ask for a label follow without a change.

    Args:
        folder: `saved_models/NAME`.
        labels: Version by label. Without labels the newest version is served again.

    Returns:
        The `models.config` that was written.

    Raises:
        InvalidInput: a version does not exist, or a label has other characters than letters, digits, dots, dashes and
            underscores.
    """
    folder = Path(folder)
    versions = _versions(folder)
    for label, version in labels.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", label):
            raise InvalidInput(
                f"Expected a label of letters, digits, dots, dashes and underscores, received {label!r}."
            )
        if version not in versions:
            raise InvalidInput(f"Expected a version in {folder} to label {label!r}; {version} is not there, "
                               f"only {sorted(versions) or 'nothing'}. Export it first.")  # fmt: skip
    path = folder / MODELS_CONFIG
    path.parent.mkdir(exist_ok=True)
    write_text(path, _models_config(folder.name, labels), durable=True)
    return path


def _models_config(name: str, labels: Mapping[str, int] | None = None) -> str:
    labels = labels or {}
    pinned = " ".join(f"versions: {version}" for version in sorted(set(labels.values())))
    lines = [f'    version_labels {{ key: "{key}" value: {value} }}\n' for key, value in sorted(labels.items())]
    return _MODELS.format(name=name, policy=f"specific {{ {pinned} }}" if pinned else _NEWEST, labels="".join(lines))


def _versions(folder: Path) -> dict[int, Path]:
    found = version_folders(folder) if folder.is_dir() else {}
    return {number: path for number, path in found.items() if (path / "saved_model.pb").is_file()}


def _bytes_of(version: Path) -> int:
    return sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
