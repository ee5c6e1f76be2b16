"""The local node itself: its features, and that it leaves no files or processes."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import (
    apiserver,
    binaries,
    certificates,
    cgroups,
    containerd,
    failures,
    images,
    instances,
    node,
    places,
    processes,
)


def run(*command: str | Path) -> str:
    return subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True
    ).stdout


def cluster(*arguments: str) -> str:
    return run(sys.executable, "-m", "tests.cluster", *arguments)


def kubectl(kubeconfig: Path, *arguments: str) -> str:
    return run(binaries.ensure() / "kubectl", "--kubeconfig", kubeconfig, *arguments)


def marked_processes(name: str) -> list[int]:
    """Processes that carry the instance's mark, recorded or not."""
    mark = f"={places.state() / 'instances' / name}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


# --- certificates, processes, names ---------------------------------------------------------------


def test_certificates_carry_key_identifiers_and_critical_usage(tmp_path: Path) -> None:
    authority = certificates.Authority(tmp_path)
    leaf, _ = authority.issue("server", "server", hosts=["localhost", "127.0.0.1"])
    for certificate in (authority.certificate, leaf):
        text = run("openssl", "x509", "-in", certificate, "-noout", "-text")
        for extension in (
            "X509v3 Subject Key Identifier",
            "X509v3 Authority Key Identifier",
            "X509v3 Key Usage: critical",
            "X509v3 Basic Constraints: critical",
        ):
            assert extension in text, f"{certificate.name} has no {extension}"
    assert "DNS:localhost, IP Address:127.0.0.1" in text


def test_certificates_are_made_once(tmp_path: Path) -> None:
    first, _ = certificates.Authority(tmp_path).issue("client", "someone")
    before = first.read_bytes()
    again, _ = certificates.Authority(tmp_path).issue("client", "someone")
    assert again.read_bytes() == before


def test_process_with_a_reused_pid_is_not_stopped(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    time.sleep(0.05)  # start times are known to the hundredth of a second
    try:
        recorded = processes.Processes(tmp_path)
        recorded.start("mine", ["sleep", "60"])
        mine = recorded.all()[0]
        record = tmp_path / "processes" / "mine.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "pid": stranger.pid}))
        recorded.stop("mine", grace_seconds=0)
        assert stranger.poll() is None
        recorded.kill_strays()
        assert not mine.is_running()
    finally:
        stranger.kill()
        stranger.wait()


def test_process_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    started = processes.Processes(tmp_path)
    started.start("broken", ["sh", "-c", "echo cannot open the thing; exit 1"])
    with pytest.raises(failures.NotReadyError, match="cannot open the thing") as caught:
        started.wait_until("broken", lambda: False, seconds=5)
    assert str(started.log("broken")) in str(caught.value)


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "-a", "a" * 31])
def test_unfit_names_are_refused(name: str) -> None:
    with pytest.raises(failures.ClusterError, match="lower-case"):
        instances.check_name(name)


def test_slots_of_two_instances_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = [instances.claim(f"i{number}", lambda _: True) for number in range(150)]
    assert len({instance.slot for instance in made}) == len(made)
    assert instances.claim("i7", lambda _: True) == made[7]


def test_taken_slot_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    wanted = instances.claim("a", lambda _: True)
    instances.release(wanted)
    assert instances.claim("a", lambda other: other.slot != wanted.slot).slot != wanted.slot


# --- images ---------------------------------------------------------------------------------------


def test_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(failures.ClusterError, match="no-such-image"):
        images.build(["no-such-image"])


def test_inputs_of_a_dockerfile_are_the_files_that_it_copies() -> None:
    text = "COPY --chown=1:1 a.txt \\\n  b /x/\nCOPY --from=builder /opt /opt\nADD c /c\nRUN COPY\n"
    assert images.copied(text) == {"a.txt", "b", "c"}


# --- api server only ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[apiserver.ApiServer]:
    with apiserver.ApiServer("test-first") as started:
        yield started


@pytest.mark.api
def test_certificates_pass_strict_verification(server: apiserver.ApiServer) -> None:
    instance = instances.find(server.name)
    assert instance is not None
    trust = ssl.create_default_context(cafile=str(instance.state / "certificates" / "ca.crt"))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", instance.loopback_port(0)), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        assert secured.version() == "TLSv1.3"


@pytest.mark.api
def test_up_again_keeps_the_running_processes(server: apiserver.ApiServer) -> None:
    before = cluster("status", "--name", server.name)
    printed = cluster("up", "--api-only", "--name", server.name)
    assert printed.strip() == str(server.kubeconfig)
    assert cluster("status", "--name", server.name) == before


@pytest.mark.api
def test_second_instance_does_not_disturb_the_first(server: apiserver.ApiServer) -> None:
    with apiserver.ApiServer("test-second", controllers=True) as second:
        kubectl(second.kubeconfig, "create", "namespace", "only-in-second")
        kubectl(
            second.kubeconfig, "wait", "--for=create", "serviceaccount/default", "--timeout=30s"
        )
        assert "only-in-second" not in kubectl(server.kubeconfig, "get", "namespaces")
        state = second.kubeconfig.parent
    assert not state.exists()
    assert marked_processes("test-second") == []
    assert kubectl(server.kubeconfig, "get", "--raw", "/readyz") == "ok"


@pytest.mark.api
def test_env_prints_lines_for_a_shell(server: apiserver.ApiServer) -> None:
    script = f"{cluster('env', '--name', server.name)}\nkubectl get --raw /readyz"
    assert run("sh", "-c", script) == "ok"


@pytest.mark.api
def test_api_server_cannot_become_a_node(server: apiserver.ApiServer) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        cluster("up", "--name", server.name)
    assert "choose another --name" in caught.value.stderr


@pytest.mark.api
def test_down_after_a_killed_up_removes_everything() -> None:
    name = "test-killed"
    up = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster", "up", "--api-only", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not marked_processes(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    assert marked_processes(name)
    cluster("down", "--name", name)
    cluster("down", "--name", name)  # does no harm
    assert marked_processes(name) == []
    assert instances.find(name) is None


# --- a whole node ---------------------------------------------------------------------------------

_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [
            {
                "name": "web",
                "image": containerd.PAUSE_IMAGE,
                "command": ["/busybox", "httpd", "-f", "-v", "-p", "8080", "-h", "/data"],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
_OBJECTS = [
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    },
    _POD,
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    },
]


_CNI_RESULTS = Path("/var/lib/cni/results")


def traces_of(instance: instances.Instance) -> dict[str, list[str]]:
    """Returns lines of the machine's state that mention a node; other nodes may run as well."""
    slot = instance.slot
    marks = [
        str(instance.state),
        f"{instance.sockets}/",
        f"{instance.host_link}@",
        *(f"10.{net}.{slot}." for net in (213, 214, 215)),
    ]
    looked_at = {
        "links": run("ip", "-oneline", "link"),
        "routes": run("ip", "route"),
        "addresses": run("ip", "-oneline", "address"),
        "mounts": Path("/proc/self/mounts").read_text(),
        "log links": run("find", "/var/log", "-path", "/var/log/containers/*", "-printf", "%l\n"),
        "network results": "\n".join(path.read_text() for path in _CNI_RESULTS.glob("*")),
    }
    found = {
        what: [line for line in text.splitlines() if any(mark in line for mark in marks)]
        for what, text in looked_at.items()
    }
    exact = [f"/run/netns/{instance.network_namespace}", str(instance.sockets)]
    exact += [str(path / "fastapi-operator" / str(slot)) for path in cgroups.hierarchies()]
    found["paths"] = [path for path in exact if Path(path).exists()]
    found["processes"] = [str(pid) for pid in marked_processes(instance.name)]
    return found


@pytest.fixture(scope="module")
def host_firewall() -> str:
    return run("nft", "list", "ruleset")


@pytest.fixture(scope="module")
def started(host_firewall: str) -> Iterator[node.Node]:
    with node.Node("test-node") as running:
        listed = {"apiVersion": "v1", "kind": "List", "items": _OBJECTS}
        running.kubectl(
            "label", "namespace/default", "pod-security.kubernetes.io/enforce=restricted"
        )
        running.kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(listed))
        running.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
        yield running


@pytest.mark.node
def test_node_offers_the_machines_processors(started: node.Node) -> None:
    printed = started.kubectl("get", "node", "-o", "jsonpath={.items[*].status.allocatable.cpu}")
    assert printed == str(os.cpu_count())


@pytest.mark.node
def test_limits_are_enforced(started: node.Node) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max"
    printed = started.kubectl("exec", "web", "--", "/busybox", "sh", "-c", script)
    assert printed.strip() == str(32 * 1024 * 1024)


@pytest.mark.node
def test_service_is_reachable_by_name_inside_and_by_address_outside(started: node.Node) -> None:
    write = "echo hello > /data/hello"
    started.kubectl("exec", "web", "--", "/busybox", "sh", "-c", write)
    inside = ["/busybox", "wget", "-q", "-O", "-", "http://web.default.svc/hello"]
    assert started.kubectl("exec", "web", "--", *inside) == "hello\n"
    address = started.kubectl("get", "service/web", "-o", "jsonpath={.spec.clusterIP}")
    with socket.create_connection((address, 80), timeout=5) as connection:
        connection.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"hello\n")
    assert "response:200" in started.kubectl("logs", "web")


@pytest.mark.node
def test_volume_survives_its_pod_and_goes_with_its_claim(started: node.Node) -> None:
    script = "echo kept > /data/kept; ls -ldn /data"
    printed = started.kubectl("exec", "web", "--", "/busybox", "sh", "-c", script)
    assert " 10001 " in printed  # fsGroup applies
    started.kubectl("delete", "pod/web", "--wait")
    started.kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(_POD))
    started.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    assert started.kubectl("exec", "web", "--", "/busybox", "cat", "/data/kept") == "kept\n"


@pytest.mark.node
def test_restricted_namespace_refuses_a_privileged_pod(started: node.Node) -> None:
    arguments = ["run", "bad", "--image=x", "--privileged", "--dry-run=server"]
    with pytest.raises(failures.ClusterError, match="violates PodSecurity"):
        started.kubectl(*arguments)


@pytest.mark.node
def test_job_completes(started: node.Node) -> None:
    started.kubectl("create", "namespace", "jobs")
    image = f"--image={containerd.PAUSE_IMAGE}"
    command = ["/busybox", "nslookup", "kubernetes.default.svc.cluster.local"]
    started.kubectl("-n", "jobs", "create", "job", "lookup", image, "--", *command)
    started.kubectl("-n", "jobs", "wait", "--for=condition=Complete", "job/lookup", "--timeout=60s")


@pytest.mark.node
def test_metrics_are_served(started: node.Node) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert "web" in started.kubectl("top", "pod")
        except failures.ClusterError:
            time.sleep(1)
        else:
            return
    pytest.fail("kubectl top has no figures after a minute")


@pytest.mark.node
def test_second_node_does_not_disturb_the_first(started: node.Node) -> None:
    with node.Node("test-other") as other:
        assert other.address != started.address
        assert started.name in started.kubectl("get", "nodes")
        assert started.name not in other.kubectl("get", "nodes")
    started.kubectl("exec", "web", "--", "/busybox", "true")


@pytest.mark.node
def test_node_is_removed_completely(started: node.Node, host_firewall: str) -> None:
    instance = instances.find(started.name)
    assert instance is not None
    during = traces_of(instance)
    assert all(during.values()), "the test looks at the wrong places"
    started.stop()
    assert {what: lines for what, lines in traces_of(instance).items() if lines} == {}
    assert run("nft", "list", "ruleset") == host_firewall
    assert not instance.state.exists()
    assert instances.find(started.name) is None
