"""Redis and Valkey, run on what the builders print for a cache or a queue."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.resources import backports
from tests.unit.resources.operands import (
    Pod,
    container,
    eventually,
    files,
    listens,
    program,
    wanted,
)

ENGINES = ("Redis", "Valkey")
PASSWORD = "not-a-real-one"
ALTERNATE = "not-used-yet"
MONITOR = "to-look-only"


class Store:
    """A cache or a queue of a service, and the files that outlive its processes."""

    def __init__(self, root: Path, name: str, engine: str, **spec: Any) -> None:
        """Writes its files.

        Args:
            root: A directory that stands for the pod's file system.
            name: Its host name without the service's.
            engine: Its program.
            spec: The service.
        """
        root.mkdir(mode=0o755, exist_ok=True)
        self.pod, self.engine = Pod(root), engine.lower()
        if engine == "Valkey":
            self.pod.install(backports.valkey(), "valkey-server", "valkey-cli")
        else:
            program("redis-server"), program("redis-cli")
        self.configure(name, **spec)

    def configure(self, name: str, **spec: Any) -> None:
        """Takes the files of a service, which may have changed."""
        objects = wanted(**spec)
        kind = "StatefulSet" if f"StatefulSet/shop-{name}" in objects else "Deployment"
        self.container = container(objects, f"{kind}/shop-{name}", "redis")
        template = objects[f"{kind}/shop-{name}"].body["spec"]["template"]
        self.sidecars = template["spec"]["initContainers"]
        for mount in self.container["volumeMounts"]:
            self.pod.directory(mount["mountPath"])
        self.pod.port(6379)
        generate = objects[f"Secret/shop-{name}"].generate
        assert generate is not None
        (key,) = (
            item["key"]
            for volume in template["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            for item in source.get("secret", {}).get("items", ())
            if item["path"] == "users.acl"
        )
        self.users = generate.templates[key]
        users = self.users.format(app=PASSWORD, app_alternate=ALTERNATE, monitor=MONITOR)
        found = {**files(objects, f"shop-{name}-"), "users.acl": users}
        self.pod.write(f"/etc/{self.engine}", found)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Runs the server with the command of its container; waits until it is ready."""
        with self.pod.running(*self.container["command"]) as process:
            eventually(lambda: listens(self.pod.port(6379)), "the server listens")
            eventually(lambda: self.ask("PING") == "PONG", "the server has loaded its data")
            yield process

    def ask(self, *command: str, user: str = "app", password: str = PASSWORD) -> str:
        """What a client of the app hears."""
        url = f"redis://{user}:{password}@127.0.0.1:{self.pod.port(6379)}/0"
        client = f"{self.engine}-cli"
        return self.pod.run(client, "--no-auth-warning", "-u", url, *command).stdout.strip()

    def ask_with_password(self, password: str, *command: str) -> str:
        """What a client hears that knows a password and no user."""
        options = ("--no-auth-warning", "-p", str(self.pod.port(6379)), "-a", password)
        result = self.pod.run(f"{self.engine}-cli", *options, *command)
        return f"{result.stdout}{result.stderr}".strip()

    def sidecar(self, name: str) -> list[str]:
        """The command of a sidecar, with the address and the variables that the pod gives it."""
        (found,) = [item for item in self.sidecars if item["name"] == name]
        shell, option, script = found["command"]
        where = f"export REDISCLI_AUTH={MONITOR}\n"
        client = f"{self.engine}-cli"
        return [shell, option, where + script.replace(client, f"{client} -p 6379")]

    @contextmanager
    def subscribed(self) -> Iterator[subprocess.Popen[str]]:
        """A client of the app that stays connected for the length of a block."""
        url = f"redis://app:{PASSWORD}@127.0.0.1:{self.pod.port(6379)}/0"
        client = f"{self.engine}-cli"
        with self.pod.running(client, "--no-auth-warning", "-u", url, "SUBSCRIBE", "news") as one:
            eventually(lambda: self.ask("PUBLISH", "news", "hello") == "1", "a client subscribes")
            yield one

    def pipe(self, commands: list[str]) -> str:
        """Sends many commands, one after the other, and answers what came back."""
        url = f"redis://app:{PASSWORD}@127.0.0.1:{self.pod.port(6379)}/0"
        client = f"{self.engine}-cli"
        text = "\n".join(commands) + "\n"
        return self.pod.run(client, "--no-auth-warning", "-u", url, input=text).stdout

    def probe(self, name: str) -> int:
        """The exit code of an exec probe, run as the kubelet runs it."""
        command = self.container[name]["exec"]["command"]
        where = ("-p", str(self.pod.port(6379)))
        return self.pod.run(
            "env", f"REDISCLI_AUTH={MONITOR}", command[0], *where, *command[1:]
        ).returncode
