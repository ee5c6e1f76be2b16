"""The command line: up, down, status, env, load-image, build-images, tools, pgbouncer."""

import argparse
import sys
from collections.abc import Sequence

from tests.cluster import apiserver, binaries, debian, failures, instances, node

_DEFAULT_NAME = "fastapi-operator"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except failures.ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `status | head`
        return 0
    except KeyboardInterrupt:
        print("interrupted; `down` removes the remaining parts", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.cluster",
        description="A real Kubernetes node, or only its API server, on this machine.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=_DEFAULT_NAME, help="instance (default: %(default)s)")

    up = commands.add_parser("up", parents=[named], help="start it; print KUBECONFIG's path")
    up.add_argument("--api-only", action="store_true", help="etcd and kube-apiserver on loopback")
    up.add_argument(
        "--controllers", action="store_true", help="with --api-only: also kube-controller-manager"
    )
    up.add_argument(
        "--images", action="store_true", help="build the images meanwhile, and load them"
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[named], help="remove all of it")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", parents=[named], help="exit code 0: it runs")
    status.set_defaults(run=_status)

    env = commands.add_parser("env", parents=[named], help="lines for the shell's eval")
    env.set_defaults(run=_env)

    load = commands.add_parser("load-image", parents=[named], help="put images into the node")
    load.add_argument("images", nargs="+", metavar="IMAGE_OR_TAR")
    load.set_defaults(run=_load_image)

    build = commands.add_parser(
        "build-images", parents=[named], help="build images; load them if the node runs"
    )
    build.add_argument("images", nargs="*", metavar="IMAGE", help="short names (default: all)")
    build.set_defaults(run=_build_images)

    tools = commands.add_parser("tools", help="build the pinned programs; print their folder")
    tools.set_defaults(run=_tools)

    pooler = commands.add_parser("pgbouncer", help="unpack the images' one; print its folder")
    pooler.set_defaults(run=_pgbouncer)
    return parser


def _up(options: argparse.Namespace) -> None:
    if options.api_only:
        server = apiserver.ApiServer(options.name, controllers=options.controllers)
        print(server.start())
        return
    print(node.Node(options.name).start(with_images=options.images))


def _down(options: argparse.Namespace) -> None:
    instance = instances.find(options.name)
    is_node = instance is not None and apiserver.mode_of(instance) != apiserver.MODE
    if not is_node:
        apiserver.ApiServer(options.name).stop()
    else:
        node.Node(options.name).stop()


def _status(options: argparse.Namespace) -> int:
    status = node.status_of(options.name)
    print("\n".join(status.lines))
    return 0 if status.is_up else 1


def _env(options: argparse.Namespace) -> None:
    instance = instances.find(options.name)
    if instance is None:
        raise failures.ClusterError(f"{options.name} does not run")
    print(f"export KUBECONFIG={instance.kubeconfig}")
    print(f'export PATH="{binaries.ensure()}:$PATH"')


def _load_image(options: argparse.Namespace) -> None:
    node.Node(options.name).load_images(options.images)


def _build_images(options: argparse.Namespace) -> None:
    node.Node(options.name).build_images(options.images)


def _tools(_: argparse.Namespace) -> None:
    print(binaries.ensure())


def _pgbouncer(_: argparse.Namespace) -> None:
    print(debian.ensure("pgbouncer"))
