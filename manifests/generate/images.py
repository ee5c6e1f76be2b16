"""Generates manifests/images.txt: every image, with the value or option that names it.

An annotation of the chart has the same list for Artifact Hub.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fastapi_operator.cluster import spy
from fastapi_operator.settings import OperandImage, Settings
from manifests.generate import documents

_CHART = "charts/fastapi-operator"
_HEAD = """\
#
# Each line has an image and the value of the operator's chart that pins its digest. To copy all
# images with all their architectures to a mirror, run:
#
#   grep -v '^#' manifests/images.txt | while read -r image digest; do
#     skopeo copy --all "docker://$image" "docker://$MIRROR/${image#*/}"
#   done
#
# To use the mirror, set the registry next to each digest: --set image.registry=$MIRROR, …. The
# option --image of `kubectl fastapi profile --py-spy` names the image of that command.
"""


def files(root: Path) -> Mapping[str, str]:
    """Returns the list, and the chart's file with the annotation, by path."""
    found = list(_images(root))
    source = documents.heading(f"{_CHART} and the operator's settings")
    lines = "".join(f"{image} {value}\n" for value, image in found)
    annotation = "".join(f"    - image: {image}\n" for _, image in found)
    chart = (root / _CHART / "Chart.yaml").read_text()
    return {
        "manifests/images.txt": source + _HEAD + lines,
        f"{_CHART}/Chart.yaml": re.sub(
            r"(?<=  artifacthub\.io/images: \|\n)(    .*\n)+", annotation, chart
        ),
    }


def _images(root: Path) -> Iterator[tuple[str, str]]:
    """Yields the value that pins an image, or the option that names it, and the image."""
    chart: dict[str, Any] = yaml.safe_load((root / _CHART / "Chart.yaml").read_text())
    own: dict[str, Any] = yaml.safe_load((root / _CHART / "values.yaml").read_text())["image"]
    operator = OperandImage(
        registry=own["registry"],
        repository=own["repository"],
        tag=own["tag"] or chart["appVersion"],
        digest=own["digest"] or None,
    )
    yield "image.digest", operator.reference
    images = Settings().images
    for name, field in type(images).model_fields.items():
        yield f"settings.images.{field.alias or name}.digest", getattr(images, name).reference
    yield "--image", spy.IMAGE
