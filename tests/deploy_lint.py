"""Lints deploy/: what Kubernetes and systemd accept, and we would still regret.

Owns: the rules below, each a function that yields problems. It prints `file: problem` a line and
exits with 1 if there is any, else with 0. What it cannot check here it says in one line.
Does not: know Sidewake's config beyond what must fit the manifest around it; the config's own
truth is `sidewake validate`, to which `--extract DIR` hands every config of deploy/, one file each.

    python3 tests/deploy_lint.py                 lint
    python3 tests/deploy_lint.py --extract DIR   write the configs to DIR, print their paths
    python3 tests/deploy_lint.py --self-test     break each thing once: every rule must notice

Standard library, and PyYAML for the manifests.
"""

import copy
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    yaml = None

DEPLOY = pathlib.Path(__file__).resolve().parent.parent / "deploy"
CONFIG_KEY = "sidewake.yaml"
MEMORY_BUDGET = 32 << 20        # `memory.limit`, when the config does not set it
SPOOL_HEADROOM = 1.2            # emptyDir over spool.max: checkpoints, a segment being compressed
GRACE_MARGIN_S = 5              # between our --grace and what would kill us
EXPOSURE_MAX = 20               # tenths, as `systemd-analyze security --threshold` counts

HARDENING = {
    "Type": "notify", "NotifyAccess": "main", "Restart": "always", "DynamicUser": "yes",
    "StateDirectory": "sidewake", "StateDirectoryMode": "0700", "UMask": "0077",
    "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
    "DevicePolicy": "closed", "ProtectProc": "invisible", "ProtectHostname": "yes",
    "ProtectClock": "yes", "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes", "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "", "AmbientCapabilities": "", "RestrictNamespaces": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
}
PRESENT = ("WatchdogSec", "TimeoutStopSec", "MemoryMax", "TasksMax", "ExecReload", "SystemCallFilter")


# --- Units ---------------------------------------------------------------------------------------

def size(text) -> int:
    """Bytes of 640Mi, 1GiB, 96M or a plain number (systemd's M is 1024 based, as Mi is)."""
    number, unit = re.fullmatch(r"([\d.]+)\s*([KMGT]?)i?B?", str(text)).groups()
    return int(float(number) * 1024 ** " KMGT".index(unit or " "))


def seconds(text) -> int:
    number, unit = re.fullmatch(r"(\d+)\s*(s|m|min)?", str(text)).groups()
    return int(number) * (1 if unit in (None, "s") else 60)


def grace(words: list) -> int | None:
    words = [str(word) for word in words]
    return seconds(words[words.index("--grace") + 1]) if "--grace" in words[:-1] else None


# --- A pod ---------------------------------------------------------------------------------------

def containers(pod: dict) -> list:
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def sidecar(pod: dict) -> dict | None:
    return next((c for c in pod["spec"].get("initContainers", []) if c["name"] == "sidewake"), None)


def mount_of(container: dict, path: str) -> dict | None:
    """The mount that holds a path: the deepest one."""
    holding = [m for m in container.get("volumeMounts", []) if (path + "/").startswith(m["mountPath"] + "/")]
    return max(holding, key=lambda mount: len(mount["mountPath"]), default=None)


def volume_of(pod: dict, container: dict, path: str) -> dict:
    mount = mount_of(container, path)
    return next((v for v in pod["spec"].get("volumes", []) if mount and v["name"] == mount["name"]), {})


def check_container_context(pod, _config):
    at_pod = pod["spec"].get("securityContext", {})
    for container in containers(pod):
        here = container.get("securityContext", {})
        both = at_pod | here
        wanted = {
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser not 0": both.get("runAsUser", 0) != 0,
            "seccompProfile RuntimeDefault": both.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "readOnlyRootFilesystem": here.get("readOnlyRootFilesystem") is True,
            "allowPrivilegeEscalation: false": here.get("allowPrivilegeEscalation") is False,
            "capabilities drop ALL": here.get("capabilities") == {"drop": ["ALL"]},
            "no privileged": not here.get("privileged"),
        }
        yield from (f'container "{container["name"]}" lacks {what}' for what, holds in wanted.items() if not holds)
    if pod["spec"].get("automountServiceAccountToken") is not False:
        yield "the service account's token is mounted, and nobody needs it"


def check_probes(pod, config):
    for container in containers(pod):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe not in container:
                yield f'container "{container["name"]}" has no {probe}'
    ours = sidecar(pod)
    paths = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    for probe, path in paths.items():
        found = ours.get(probe, {}).get("httpGet", {}).get("path")
        if found not in (None, path):
            yield f"{probe} of sidewake asks {found}, not {path}"
    host, _, port = config.get("admin", {}).get("listen", "").rpartition(":")
    if port not in [str(p["containerPort"]) for p in ours.get("ports", [])]:
        yield f"sidewake has no containerPort {port}, where admin listens"
    if host.startswith("127.") or host in ("localhost", "[::1]", ""):
        yield f'admin listens on "{host}", where no probe reaches it'


def check_resources(pod, config):
    for container in containers(pod):
        resources = container.get("resources", {})
        for kind in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if what not in resources.get(kind, {}):
                    yield f'container "{container["name"]}" has no {what} in {kind}'
    budget = size(config.get("memory", {}).get("limit", MEMORY_BUDGET))
    limit = sidecar(pod).get("resources", {}).get("limits", {}).get("memory")
    if limit and size(limit) < 2 * budget:
        yield f"sidewake's memory limit {limit} is below twice its budget of {budget >> 20} MiB"


def check_images(pod, _config):
    for container in containers(pod):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest") and "@sha256:" not in container["image"]:
            yield f'container "{container["name"]}" runs {container["image"]}, which is not pinned'


def check_sidecar(pod, _config):
    first = (pod["spec"].get("initContainers") or [{}])[0]
    if first.get("name") != "sidewake" or first.get("restartPolicy") != "Always":
        yield "sidewake is not the first init container with restartPolicy Always"
    if any("preStop" in container.get("lifecycle", {}) for container in containers(pod)):
        yield "a preStop hook runs at once in all containers, before the model has stopped"


def check_grace(pod, _config):
    ours, whole = grace(sidecar(pod).get("args", [])), pod["spec"].get("terminationGracePeriodSeconds", 30)
    if ours is None:
        yield "sidewake has no --grace"
    elif ours + GRACE_MARGIN_S > whole:
        yield f"--grace {ours}s leaves the model less than {GRACE_MARGIN_S} s of the pod's {whole} s"


def check_volumes(pod, config):
    for volume in pod["spec"].get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f'emptyDir "{volume["name"]}" has no sizeLimit'
        if "hostPath" in volume:
            for container in containers(pod):
                for mount in container.get("volumeMounts", []):
                    if mount["name"] == volume["name"] and not mount.get("readOnly"):
                        yield f'container "{container["name"]}" may write to the node at {volume["hostPath"]["path"]}'
    spool = config.get("spool", {})
    limit = volume_of(pod, sidecar(pod), spool.get("path", "")).get("emptyDir", {}).get("sizeLimit")
    if not limit:
        yield f"spool.path {spool.get('path')} lies in no emptyDir with a sizeLimit"
    elif size(limit) < SPOOL_HEADROOM * size(spool["max"]):
        yield f"spool.max {spool['max']} comes too near the emptyDir's {limit}, beyond which the pod is evicted"


def check_paths(pod, config):
    ours = sidecar(pod)
    key = config.get("protect", {}).get("key", {}).get("file", "")
    if "secret" not in volume_of(pod, ours, key):
        yield f"protect.key {key} lies in no mounted Secret"
    for name, source in config.get("sources", {}).items():
        if source["type"] == "fifo":
            volume = volume_of(pod, ours, source["path"])
            writers = [c for c in pod["spec"]["containers"] if volume and volume_of(pod, c, source["path"]) == volume]
            if "emptyDir" not in volume or not writers:
                yield f'fifo {source["path"]} of source "{name}" lies in no emptyDir that the model shares'
            for writer in writers:
                if f'1<>{source["path"]}' not in " ".join(writer.get("command", [])):
                    yield f'container "{writer["name"]}" does not open {source["path"]} with `1<>`: a restart kills it'
        for pattern in source.get("include", []):
            if not (mount_of(ours, pattern) or {}).get("readOnly"):
                yield f'{pattern} of source "{name}" lies in no read-only mount'


def check_environment(pod, config):
    given = {entry["name"] for entry in sidecar(pod).get("env", [])}
    for name in re.findall(r"\$\{(\w+)\}", yaml.safe_dump(config)):
        if name not in given:
            yield f"the config refers to ${{{name}}}, which sidewake's env does not have"


POD_RULES = (
    check_container_context, check_probes, check_resources, check_images, check_sidecar, check_grace,
    check_volumes, check_paths, check_environment,
)


def lint_pod(documents: list):
    if any(document["kind"] == "Secret" for document in documents):
        yield "a Secret is in the repository"
    maps = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
    for pod in (document for document in documents if document["kind"] == "Pod"):
        if sidecar(pod) is None:
            yield "no init container is named sidewake"
            continue
        named = [v["configMap"]["name"] for v in pod["spec"].get("volumes", []) if "configMap" in v]
        text = next((maps[name][CONFIG_KEY] for name in named if name in maps), None)
        if text is None:
            yield f"the pod mounts no ConfigMap with {CONFIG_KEY}"
            continue
        for rule in POD_RULES:
            yield from rule(pod, yaml.safe_load(text))


# --- The unit ------------------------------------------------------------------------------------

def directives(text: str) -> dict:
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value.strip())
    return found


def lint_unit(text: str, config_text: str):
    found = directives(text)
    for name, value in HARDENING.items():
        if found.get(name) != [value]:
            yield f"{name} is {found.get(name)}, not {value!r}"
    yield from (f"has no {name}" for name in PRESENT if name not in found)
    ours, stop = grace(found["ExecStart"][0].split()), found.get("TimeoutStopSec", ["0"])[0]
    if ours is None:
        yield "ExecStart has no --grace"
    elif ours + GRACE_MARGIN_S > seconds(stop):
        yield f"TimeoutStopSec {stop} ends --grace {ours}s before its time"
    if "/etc/sidewake/sidewake.yaml" not in found["ExecStart"][0]:
        yield "ExecStart does not name the config that is installed"
    if "MemoryMax" in found and size(found["MemoryMax"][0]) < 2 * MEMORY_BUDGET:
        yield f"MemoryMax {found['MemoryMax'][0]} is below twice the memory budget"
    if "${CREDENTIALS_DIRECTORY}/key" in config_text and not found.get("LoadCredential", [""])[0].startswith("key:"):
        yield "the config reads the credential \"key\", which the unit does not load"
    for path in re.findall(r"path: ([^\s,}]+)", config_text):
        if not path.startswith("/var/lib/sidewake/"):
            yield f"the config writes to {path}, outside the state directory"


def lint_with_systemd(text: str):
    """The real judge, where it is to be had. It wants ExecStart's program to exist, so that is replaced."""
    if not shutil.which("systemd-analyze"):
        say("systemd-analyze is not here: the unit was not verified")
        return
    with tempfile.TemporaryDirectory() as folder:
        unit = os.path.join(folder, "sidewake.service")
        pathlib.Path(unit).write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.M))
        verify = run("systemd-analyze", "--man=no", "verify", unit)
        yield from (line.replace(folder + "/", "") for line in verify.stderr.splitlines() if "sidewake.service" in line)
        if verify.returncode and "sidewake.service" not in verify.stderr:
            yield f"systemd-analyze verify ends with {verify.returncode}: {verify.stderr.strip()[-200:]}"
        security = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
        if "unrecognized option" in security.stderr:
            say("systemd-analyze has no `security --offline` here: the exposure was not measured")
        elif security.returncode:
            last = (security.stdout + security.stderr).strip().splitlines()[-1]
            yield f"exposure is over {EXPOSURE_MAX / 10}: {last}"


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


# --- The container file --------------------------------------------------------------------------

def lint_containerfile(text: str):
    stages = re.findall(r"^FROM\s+(\S+)(?:\s+AS\s+(\S+))?", text, re.MULTILINE)
    for image, _name in stages:
        if image != "scratch" and (":" not in image or image.endswith(":latest")):
            yield f"stage {image} is not pinned"
    if len(stages) < 2 or not (stages[-1][0] == "scratch" or "distroless" in stages[-1][0]):
        yield "the last stage is neither scratch nor distroless"
    last = text[text.rfind("\nFROM "):]
    if not re.search(r"^USER [1-9]\d*(:[1-9]\d*)?$", last, re.MULTILINE):
        yield "the last stage has no USER that is a number and not 0"
    if not re.search(r'^ENTRYPOINT \["/', last, re.MULTILINE):
        yield "ENTRYPOINT is no exec form: signals would end at a shell that is not there"
    if re.search(r"^(HEALTHCHECK|RUN|ADD)\b", last, re.MULTILINE):
        yield "the last stage runs or downloads something"
    if "--locked" not in text:
        yield "cargo builds without --locked"


# --- All of it -----------------------------------------------------------------------------------

def say(text: str) -> None:
    print(f"deploy_lint: {text}", file=sys.stderr)


def manifests() -> dict:
    if yaml is None:
        say("PyYAML is not here: the Kubernetes manifests were not checked")
        return {}
    found = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return {path: list(yaml.safe_load_all(path.read_text())) for path in found}


def lint():
    for path, documents in manifests().items():
        yield from ((path, problem) for problem in lint_pod(documents))
    unit = DEPLOY / "systemd/sidewake.service"
    config = DEPLOY / "systemd/sidewake.yaml"
    for problem in (*lint_unit(unit.read_text(), config.read_text()), *lint_with_systemd(unit.read_text())):
        yield unit, problem
    containerfile = DEPLOY / "Containerfile"
    yield from ((containerfile, problem) for problem in lint_containerfile(containerfile.read_text()))


def extract(folder: str) -> int:
    """Every config of deploy/ as a file of its own, so that `sidewake validate` can read it."""
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    configs = {"systemd": (DEPLOY / "systemd/sidewake.yaml").read_text()}
    for path, documents in manifests().items():
        maps = (d for d in documents if d["kind"] == "ConfigMap" and CONFIG_KEY in d["data"])
        configs |= {f"{path.stem}-{d['metadata']['name']}": d["data"][CONFIG_KEY] for d in maps}
    for name, text in configs.items():
        (target / f"{name}.yaml").write_text(text)
        print(target / f"{name}.yaml")
    return 0


# --- The linter's own test -----------------------------------------------------------------------

# What is broken in a good pod, and a word of the problem that must come of it.
BROKEN_PODS = {
    "sidewake.securityContext.readOnlyRootFilesystem": (False, "readOnlyRootFilesystem"),
    "model.securityContext.capabilities": ({}, "drop ALL"),
    "model.securityContext.runAsUser": (0, "runAsUser"),
    "spec.securityContext.seccompProfile": ({}, "seccompProfile"),
    "spec.automountServiceAccountToken": (True, "token"),
    "model.livenessProbe": (None, "no livenessProbe"),
    "sidewake.readinessProbe.httpGet.path": ("/status", "/readyz"),
    "model.resources.limits": ({"cpu": 1}, "no memory in limits"),
    "sidewake.resources.limits.memory": ("40Mi", "twice its budget"),
    "model.image": ("registry.example.com:5000/fraud", "not pinned"),
    "sidewake.image": ("registry.example.com/sidewake:latest", "not pinned"),
    "sidewake.restartPolicy": (None, "restartPolicy"),
    "model.lifecycle": ({"preStop": {}}, "preStop"),
    "spec.terminationGracePeriodSeconds": (30, "--grace 30s"),
    "sidewake.args": (["run"], "no --grace"),
    "spec.volumes": ([], "no ConfigMap"),
    "sidewake.env": ([], "OTEL_SERVICE_NAME"),
    "sidewake.ports": ([], "containerPort 9464"),
    "model.command": (["sh", "-c", "exec model >/wake/stdout"], "1<>"),
    "sidewake.volumeMounts": ([], "no mounted Secret"),
    "model.volumeMounts": ([], "lies in no emptyDir that the model shares"),
    "config.spool.max": ("600MiB", "evicted"),
    "config.admin.listen": ("127.0.0.1:9464", "no probe reaches"),
}
BROKEN_TEXTS = {
    ("unit", "DynamicUser=yes", "User=root"): "DynamicUser",
    ("unit", "CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_SYS_ADMIN\n"): "CapabilityBoundingSet",
    ("unit", "WatchdogSec=30s", ""): "WatchdogSec",
    ("unit", "TimeoutStopSec=40s", "TimeoutStopSec=30s"): "before its time",
    ("unit", "LoadCredential=key:", "LoadCredential=other:"): "credential",
    ("unit", "MemoryMax=96M", "MemoryMax=48M"): "memory budget",
    ("container", "FROM scratch", "FROM docker.io/library/debian:12"): "scratch",
    ("container", "rust:1.95-alpine", "rust:latest"): "not pinned",
    ("container", "USER 65532:65532", "USER nonroot"): "USER",
    ("container", 'ENTRYPOINT ["/sidewake"]', "ENTRYPOINT /sidewake"): "exec form",
    ("container", "--locked", ""): "--locked",
}


def broken(documents: list, place: str, value) -> list:
    """The documents with one value set, or taken away for None."""
    documents = copy.deepcopy(documents)
    root, *keys = place.split(".")
    config_map, pod = documents
    config = yaml.safe_load(config_map["data"][CONFIG_KEY])
    named = {container["name"]: container for container in containers(pod)}
    at = {"spec": pod["spec"], "config": config, **named}[root]
    for key in keys[:-1]:
        at = at[key]
    if value is None:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    config_map["data"][CONFIG_KEY] = yaml.safe_dump(config)
    return documents


def self_test() -> int:
    silent = []
    unit, config = (DEPLOY / f"systemd/sidewake.{end}" for end in ("service", "yaml"))
    texts = {"unit": unit.read_text(), "container": (DEPLOY / "Containerfile").read_text()}
    linters = {"unit": lambda text: lint_unit(text, config.read_text()), "container": lint_containerfile}
    for (which, old, new), word in BROKEN_TEXTS.items():
        if old not in texts[which] or not any(word in p for p in linters[which](texts[which].replace(old, new))):
            silent.append(f"{which}: {old!r} became {new!r}")
    good = manifests().get(DEPLOY / "kubernetes/pod.yaml")
    for place, (value, word) in BROKEN_PODS.items() if good else ():
        if not any(word in problem for problem in lint_pod(broken(good, place, value))):
            silent.append(f"pod: {place} became {value!r}")
    for text in silent:
        print(f"deploy_lint.py: no rule noticed that {text}")
    return 1 if silent else 0


def main(arguments: list) -> int:
    if arguments[:1] == ["--self-test"]:
        return self_test()
    if arguments[:1] == ["--extract"] and len(arguments) == 2:
        return extract(arguments[1])
    if arguments:
        print(__doc__, file=sys.stderr)
        return 64
    problems = list(lint())
    for path, problem in problems:
        print(f"{path.relative_to(DEPLOY.parent)}: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
