"""The server's configuration files, parsed with the messages and schemas of their readers."""

import pytest
import yaml

from tfrec.errors import InvalidInput
from tfrec.serving import label_versions
from tfrec.serving.exporting.server_config_files import write_serving_files

NAMES = ["shop", "My Shop", "x" * 80, "UPPER_case.1", "2024", "2024shop", "true", "Null", "-", "été"]


@pytest.fixture
def folder(tmp_path):
    """Versions 1 (1 MB) and 2 (3 GB, sparse) of a model, and a stray folder."""
    for version, size in (("1", 10**6), ("2", 3 * 2**30), ("3-not-whole", 5)):
        (tmp_path / "shop" / version).mkdir(parents=True)
        with open(tmp_path / "shop" / version / "saved_model.pb", "wb") as file:
            file.truncate(size)
    return tmp_path / "shop"


def message(fields):
    """A protocol buffer class from `{name: (number, type, label)}`; a dict as the type is a nested message."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    def fill(proto, name, fields):
        proto.name = name
        for field, (number, kind, repeated) in fields.items():
            if isinstance(kind, dict):
                fill(proto.nested_type.add(), f"{field}_type", kind)
            proto.field.add(
                name=field, number=number, label=3 if repeated else 1,
                type=11 if isinstance(kind, dict) else kind,
                type_name=f"{field}_type" if isinstance(kind, dict) else None,
            )  # fmt: skip

    file = descriptor_pb2.FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    fill(file.message_type.add(), "Top", fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.Top"))


INT64, BOOL, STRING = 3, 8, 9
WRAPPED = {"value": (1, INT64, False)}
# session_bundle_config.proto and monitoring_config.proto, which no wheel has
BATCHING = {
    "max_batch_size": (1, WRAPPED, False),
    "batch_timeout_micros": (2, WRAPPED, False),
    "max_enqueued_batches": (3, WRAPPED, False),
    "num_batch_threads": (4, WRAPPED, False),
    "allowed_batch_sizes": (6, INT64, True),
}
MONITORING = {"prometheus_config": (1, {"enable": (1, BOOL, False), "path": (2, STRING, False)}, False)}


def read(path, cls):
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), cls())


def models(folder):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = read(folder / "serving/models.config", config.ModelServerConfig)
    (model,) = parsed.model_config_list.config
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_servers_own_message_reads_models_config(tmp_path, name):
    pytest.importorskip("tensorflow")
    write_serving_files(tmp_path / name)
    model = models(tmp_path / name)
    assert (model.name, model.base_path, model.model_platform) == (name, f"/models/{name}", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1 and not model.version_labels


def test_labels_pin_versions_and_a_rollback_is_another_label(folder):
    pytest.importorskip("tensorflow")
    label_versions(folder, {"stable": 1, "canary": 2})
    model = models(folder)
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}
    label_versions(folder, {"stable": 1})
    assert list(models(folder).model_version_policy.specific.versions) == [1]
    label_versions(folder, {})
    assert models(folder).model_version_policy.latest.num_versions == 1


@pytest.mark.parametrize("labels", [{"stable": 7}, {"stable": 3}, {'sta"ble': 1}, {"": 1}])
def test_labels_of_missing_versions_are_refused_and_change_nothing(folder, labels):
    write_serving_files(folder)
    before = (folder / "serving/models.config").read_text()
    with pytest.raises(InvalidInput):
        label_versions(folder, labels)
    assert (folder / "serving/models.config").read_text() == before


def test_batching_and_monitoring_are_the_servers_messages(folder):
    write_serving_files(folder)
    batching = read(folder / "serving/batching.config", message(BATCHING))
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == batching.max_batch_size.value > 1
    assert batching.num_batch_threads.value > 0 and batching.max_enqueued_batches.value > 0
    monitoring = read(folder / "serving/monitoring.config", message(MONITORING))
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_edited_files_are_kept(folder):
    write_serving_files(folder)
    (folder / "serving/batching.config").write_text("tuned")
    write_serving_files(folder)
    assert (folder / "serving/batching.config").read_text() == "tuned"


@pytest.mark.parametrize("name", ['sh"op', "a:b", "a{b}", "a\nb", "a #b", "a$b", "50%off", "a?b"])
def test_a_model_name_with_other_characters_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="model name"):
        write_serving_files(tmp_path / name)


def compose_schema():
    """The parts of the Compose Specification that we use; anything else is not allowed."""
    strings = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    duration = {"type": "string", "pattern": "^[0-9]+s$"}
    health = {
        "type": "object",
        "additionalProperties": False,
        "required": ["test"],
        "properties": {"test": strings, "interval": duration, "timeout": duration, "start_period": duration},
    }
    service = {
        "type": "object",
        "additionalProperties": False,
        "required": ["image", "ports", "volumes", "command"],
        "properties": {
            "image": {"type": "string", "pattern": "^[a-z/]+:[0-9.]+$"},
            "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
            "ports": {"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
            "volumes": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:/[^:]+:ro$"}},
            "read_only": {"type": "boolean"},
            "tmpfs": strings,
            "cap_drop": strings,
            "security_opt": strings,
            "mem_limit": {"type": "string", "pattern": "^[0-9]+m$"},
            "stop_grace_period": duration,
            "command": strings,
            "healthcheck": health,
        },
    }
    services = {"type": "object", "patternProperties": {"^[a-z0-9._-]+$": service}, "additionalProperties": False}
    return {
        "type": "object",
        "required": ["services"],
        "additionalProperties": False,
        "properties": {"services": services},
    }


@pytest.mark.parametrize("name", NAMES)
def test_docker_compose_is_what_the_specification_allows(tmp_path, name):
    jsonschema = pytest.importorskip("jsonschema")
    write_serving_files(tmp_path / name)
    compose = yaml.safe_load((tmp_path / name / "docker-compose.yaml").read_text())
    jsonschema.validate(compose, compose_schema())
    (service,) = compose["services"].values()
    assert service["volumes"] == [f"./:/models/{name}:ro"] and service["read_only"] is True
    for argument in service["command"]:
        _flag, _, path = argument.partition("=")
        if path.startswith("/"):  # each file it names is one that is written
            assert (tmp_path / name / path.removeprefix(f"/models/{name}/")).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_kubernetes_manifest_is_valid_strictly(tmp_path, name):
    kubernetes = pytest.importorskip("kubernetes_validate")
    write_serving_files(tmp_path / name)
    documents = list(yaml.safe_load_all((tmp_path / name / "kubernetes.yaml").read_text()))
    assert [d["kind"] for d in documents] == ["Deployment", "PersistentVolumeClaim", "Service", "PodDisruptionBudget"]
    for document in documents:
        kubernetes.validate(document, "1.29", strict=True)
    deployment, claim, service, budget = documents
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], budget["spec"]["selector"]["matchLabels"],
                     service["spec"]["selector"]):  # fmt: skip
        assert selector.items() <= labels.items()
    (container,) = pod["spec"]["containers"]
    mount = container["volumeMounts"][0]
    assert mount["readOnly"] is True and mount["mountPath"] == f"/models/{name}"
    models = pod["spec"]["volumes"][0]
    assert models["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"], "readOnly": True}
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert (
        container["readinessProbe"]["httpGet"]["port"] in ports
        and " " not in container["readinessProbe"]["httpGet"]["path"]
    )
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


def test_memory_limits_hold_the_largest_version_twice_and_working_memory(folder):
    write_serving_files(folder)
    (service,) = yaml.safe_load((folder / "docker-compose.yaml").read_text())["services"].values()
    assert service["mem_limit"] == f"{(1 + 2 * 3) * 1024}m"
    manifest = next(yaml.safe_load_all((folder / "kubernetes.yaml").read_text()))
    assert manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "7168Mi"
