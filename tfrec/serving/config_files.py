"""The files TF Serving and Docker read, written beside the versions of an export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

IMAGE: Final = "tensorflow/serving:2.20.0"

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
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

_COMPOSE = """\
services:
  {service}:
    image: {image}
    ports: ["8500:8500", "8501:8501"]
    volumes: ["./:/models/{name}:ro"]
    command:
      - --model_config_file=/models/{name}/serving/models.config
      - --enable_batching=true
      - --batching_parameters_file=/models/{name}/serving/batching.config
      - --monitoring_config_file=/models/{name}/serving/monitoring.config
"""


def write_serving_files(folder: Path) -> None:
    """Writes `serving/{models,batching,monitoring}.config` and `docker-compose.yaml` into `saved_models/NAME`.

    A file that is there already is kept: it may have been tuned by hand.
    """
    name = folder.name
    compose = _COMPOSE.format(name=name, image=IMAGE, service="".join(c if c.isalnum() else "-" for c in name).lower())
    for path, text in {
        "serving/models.config": _MODELS.format(name=name),
        "serving/batching.config": _BATCHING,
        "serving/monitoring.config": _MONITORING,
        "docker-compose.yaml": compose,
    }.items():
        target = folder / path
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
