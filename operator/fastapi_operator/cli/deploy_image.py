"""How ``deploy`` makes the image: its name, its builder, and its way to the nodes."""

from dataclasses import dataclass

from fastapi_operator.cli import build, inputs
from fastapi_operator.cli.deploy_source import Found
from fastapi_operator.cluster.connection import Context
from fastapi_operator.delivery import context, destination, tag
from fastapi_operator.delivery.builder import Build, Builder
from fastapi_operator.delivery.destination import Destination


@dataclass(frozen=True)
class ImageOptions:
    """The options about the image."""

    image: str
    registry: str
    load: str
    tag: str
    builder: Builder | None
    platform: str

    def check(self) -> None:
        """Ends the command if they contradict each other."""
        for name in ("registry", "load", "tag", "builder", "platform"):
            if self.image and getattr(self, name):
                inputs.fail(f"--image builds nothing, so it cannot be used with --{name}")
        if self.registry and self.load:
            inputs.fail("use either --registry or --load")
        if "://" in self.image:
            bare = self.image.partition("://")[2]
            inputs.fail(f"--image {self.image}: an image name has no scheme; use --image {bare}")
        if self.tag and not tag.is_valid(self.tag):
            inputs.fail(
                f'--tag {self.tag!r} is not a valid tag; use at most 128 letters, digits, ".", '
                '"_" and "-", and begin with a letter, a digit or "_"'
            )


@dataclass(frozen=True)
class PlannedImage:
    """How an image is made.

    Attributes:
        builder: The program that builds it.
        build: The build.
        destination: Where it goes.
    """

    builder: Builder
    build: Build
    destination: Destination


def plan_image(found: Found, target: Context, options: ImageOptions) -> PlannedImage:
    """Returns how the image of a project is made; nothing is built yet.

    Args:
        found: The files of the project.
        target: The context of the cluster.
        options: The options of the command.
    """
    goal = _destination(found, target, options)
    build.require_program(goal)
    chosen = build.find_builder(options.builder)
    sources = context.read_sources(
        found.context,
        found.dockerfile,
        is_docker=chosen is Builder.DOCKER,
        added=found.unwritten,
    )
    build.refuse_secrets(sources)
    build.refuse_mounts(chosen, sources)
    name = options.tag or build.source_tag(sources, without=found.file)
    planned = Build(
        dockerfile=sources.dockerfile,
        context=sources.directory,
        image=f"{goal.repository}:{name}",
        ignore=sources.ignore,
        platform=options.platform,
        login=found.login,
        is_loaded=not goal.is_registry,
    )
    return PlannedImage(chosen, planned, goal)


def _destination(found: Found, target: Context, options: ImageOptions) -> Destination:
    spec = found.body.get("spec") or {}
    try:
        goal = destination.destination(
            service=inputs.name_of(found.body),
            image=str(spec.get("image") or ""),
            registry=options.registry,
            load=options.load,
            cluster=destination.local_cluster(target.name, target.cluster, target.provider),
        )
    except destination.DestinationError as error:
        inputs.fail(str(error))
    if not goal.is_registry and spec.get("imagePullPolicy") == "Always":
        inputs.fail(
            "spec.imagePullPolicy is Always, but the image is loaded into the nodes and is in no "
            "registry; remove the field, or add --registry"
        )
    return goal
