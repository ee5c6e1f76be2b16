"""The images of the tests: the product's own Dockerfiles and operands, on a Debian base.

An image's key is a hash of all that its build reads. Its archive in the cache carries the key in
its name, so that an unchanged image is neither built nor imported again.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cluster import (
    buildah,
    containerd,
    execution,
    failures,
    locks,
    packages,
    places,
    progress,
)

_REPOSITORY = "localhost/fastapi-operator"
SUITE = "forky"
APT_OPTIONS = ['--aptopt=Acquire::Check-Valid-Until "false"']
_MMDEBSTRAP = [
    "mmdebstrap",
    "--variant=minbase",
    "--include=ca-certificates",
    *APT_OPTIONS,
    # As in the official Debian images: apt's caches would double the installed size.
    '--aptopt=Dir::Cache::pkgcache ""',
    '--aptopt=Dir::Cache::srcpkgcache ""',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
]


@dataclasses.dataclass(frozen=True)
class Image:
    """One build."""

    name: str
    dockerfile: str | None = None
    """Below the repository; None: the root file system of Debian itself."""
    base: str | None = None
    base_argument: str = "BASE_IMAGE"
    context: str = "."
    names: tuple[str, ...] = ()
    """The name that pods use, if it is not its own name."""
    loaded: bool = True
    """Whether pods use it; else it is only a base."""
    by_default: bool = True
    """Whether it is built if no name is given."""


_IMAGES = {
    image.name: image
    for image in (
        Image("debian", loaded=False),
        Image("python", "tests/cluster/dockerfiles/python.Dockerfile", "debian", loaded=False),
        Image(
            "operands",
            "tests/cluster/dockerfiles/operands.Dockerfile",
            "debian",
            names=("postgres", "redis", "valkey", "nginx"),
        ),
        Image(
            "cloudnative-pg",
            "tests/cluster/dockerfiles/cloudnative-pg.Dockerfile",
            "operands",
            by_default=False,
        ),
        Image("pgbouncer", "images/pgbouncer/Dockerfile", "debian", context="images/pgbouncer"),
        Image(
            "exporters",
            "tests/cluster/dockerfiles/exporters.Dockerfile",
            "debian",
            names=("postgres-exporter", "pgbouncer-exporter", "redis-exporter"),
            by_default=False,
        ),
        Image(
            "monitoring",
            "tests/cluster/dockerfiles/monitoring.Dockerfile",
            "debian",
            names=("prometheus",),
            by_default=False,
        ),
        Image(
            "py-spy",
            "images/py-spy/Dockerfile",
            "python",
            "PYTHON_IMAGE",
            context="images/py-spy",
            by_default=False,
        ),
        Image("caddy", "tests/cluster/dockerfiles/caddy.Dockerfile", "debian", by_default=False),
        Image(
            "engines", "tests/parts/engines/Dockerfile", "python", "PYTHON_IMAGE", by_default=False
        ),
        Image("operator", "operator/Dockerfile", "python", "PYTHON_IMAGE"),
        Image("sample-app", "sample-app/Dockerfile", "python", "PYTHON_IMAGE"),
        Image("orders", "tests/e2e/orders/Dockerfile", "python", "PYTHON_IMAGE", by_default=False),
        Image(
            "serving",
            "tests/benchmarks/serving/app/Dockerfile",
            "python",
            "PYTHON_IMAGE",
            by_default=False,
        ),
        Image("hello", "tests/e2e/hello/Dockerfile", "sample-app", by_default=False),
        Image(
            "worse",
            "tests/full/canary/image/Dockerfile",
            "sample-app",
            context="tests/full/canary/image",
            by_default=False,
        ),
    )
}
_NAMES = {name: image for image in _IMAGES.values() for name in (image.name, *image.names)}


@dataclasses.dataclass(frozen=True)
class Built:
    """An image in the cache."""

    image: Image
    key: str
    archive: Path

    @property
    def references(self) -> list[str]:
        """Full names by which pods call it.

        The tag is the key: if an image was built again, it has another name, so its pods change.
        """
        return [_store_name(name, self.key) for name in self.image.names or (self.image.name,)]


def build(names: Sequence[str] = ()) -> list[Built]:
    """Builds the named images and their bases if they are not cached; all by default.

    Args:
        names: Short names (`operator`) or full ones.

    Raises:
        ClusterError: A name is unknown, or a build failed.
    """
    packages.ensure(packages.FOR_IMAGES)
    wanted = {_named(name) for name in names} or {
        image for image in _IMAGES.values() if image.loaded and image.by_default
    }
    with locks.held(places.cache() / "images.lock", "the images"):
        read = wanted | {base for image in wanted for base in _bases(image)}
        keys = {image: _key(image) for image in read}
        missing = {image for image in wanted if not _archive(image, keys[image]).exists()}
        for stage in _stages(missing, keys):
            with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(lambda image: _build_one(image, keys), stage))
        return [Built(i, keys[i], _archive(i, keys[i])) for i in wanted]


def load(built: Sequence[Built], runtime: containerd.Containerd, records: Path) -> None:
    """Import images into a node, except those that it has.

    Args:
        built: The result of `build`.
        runtime: The node's.
        records: Folder that remembers the key of each imported image.
    """
    records.mkdir(parents=True, exist_ok=True)
    there = runtime.images()
    for one in built:
        record = records / one.image.name
        known = record.exists() and record.read_text() == one.key
        if known and there.issuperset(one.references):
            continue
        with progress.step(f"import {' '.join(one.references)}"):
            runtime.import_archive(one.archive)
            for further in one.references[1:]:
                runtime.tag(one.references[0], further)
            record.write_text(one.key)


def loaded(name: str, records: Path) -> str:
    """Return the full name of an image on a node, even if its sources have changed.

    Raises:
        ClusterError: The node does not have it.
    """
    record = records / _named(name).name
    if not record.exists():
        raise failures.ClusterError(f"the node has no image {name}: build-images {name}")
    return _store_name(name, record.read_text())


def _named(name: str) -> Image:
    short = name.removeprefix(f"{_REPOSITORY}/").partition(":")[0]
    if short not in _NAMES:
        raise failures.ClusterError(
            f"{name}: neither a file nor one of the images {' '.join(sorted(_NAMES))}"
        )
    return _NAMES[short]


def _stages(missing: set[Image], keys: dict[Image, str]) -> Iterator[list[Image]]:
    """Order builds so that bases come first; images of one stage are independent."""
    needed = set(missing)
    for image in missing:
        bases = _bases(image)
        needed.update(base for base in bases if not buildah.has(_store_name(base.name, keys[base])))
    depth = {image: sum(1 for _ in _bases(image)) for image in needed}
    for level in sorted(set(depth.values())):
        yield [image for image in needed if depth[image] == level]


def _bases(image: Image) -> Iterator[Image]:
    while image.base is not None:
        image = _IMAGES[image.base]
        yield image


def _build_one(image: Image, keys: dict[Image, str]) -> None:
    stored = _store_name(image.name, keys[image])
    with progress.step(f"image {image.name}"):
        if image.dockerfile is None:
            _build_debian(stored)
        else:
            base = _IMAGES[image.base or ""]
            buildah.build(
                stored,
                dockerfile=places.REPOSITORY / image.dockerfile,
                context=places.REPOSITORY / image.context,
                arguments={image.base_argument: _store_name(base.name, keys[base])},
                log=places.cache() / "images" / f"{image.name}.log",
            )
        if image.loaded:
            archive = _archive(image, keys[image])
            for older in archive.parent.glob(f"{image.name}-????????????????.tar"):
                older.unlink()
            first = (image.names or (image.name,))[0]
            buildah.save(stored, archive, _store_name(first, keys[image]))
            buildah.forget_older(stored)


def _build_debian(image: str) -> None:
    """Make Debian's smallest root file system, from the mirrors that apt is configured with."""
    with tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / "root.tar"
        command = [*_MMDEBSTRAP, SUITE, str(archive)]
        execution.output_of(command)
        buildah.from_archive(archive, image)


def _key(image: Image) -> str:
    digest = hashlib.sha256()
    if image.dockerfile is None:
        digest.update(shlex.join([*_MMDEBSTRAP, SUITE]).encode())
        return digest.hexdigest()[:16]
    digest.update(_key(_IMAGES[image.base or ""]).encode())
    for path in _inputs(image):
        # The same in every checkout: the path below it, and the part of the mode that git keeps.
        name = str(path.relative_to(places.REPOSITORY))
        is_executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"{name}\0{is_executable}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _inputs(image: Image) -> Iterator[Path]:
    """Every file that the build reads: the Dockerfile and the sources of its COPY lines."""
    dockerfile = places.REPOSITORY / (image.dockerfile or "")
    if not dockerfile.exists():
        raise failures.ClusterError(f"image {image.name}: {dockerfile} is not there")
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    yield dockerfile
    if ignore.exists():
        yield ignore
    context = places.REPOSITORY / image.context
    for source in sorted(copied(dockerfile.read_text())):
        for path in sorted(context.glob(source.strip("/")) if source != "." else [context]):
            yield from _files(path)


def copied(dockerfile: str) -> set[str]:
    """Return the sources of the COPY and ADD lines that read from the context."""
    sources: set[str] = set()
    for line in re.sub(r"\\\n", " ", dockerfile).splitlines():
        words = line.split()
        copies = len(words) > 2 and words[0].upper() in {"COPY", "ADD"}
        if copies and not any(word.startswith("--from") for word in words):
            sources.update(word for word in words[1:-1] if not word.startswith("--"))
    return sources


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        yield from (Path(folder) / name for name in sorted(names) if not name.endswith(".pyc"))


def _archive(image: Image, key: str) -> Path:
    return places.cache() / "images" / f"{image.name}-{key}.tar"


def _store_name(name: str, key: str) -> str:
    return f"{_REPOSITORY}/{name}:{key}"
