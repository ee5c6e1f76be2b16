"""manifests/images.txt: every image that is run, with the value or option that names it.

Artifact Hub is told the same, in an annotation of the chart.
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
# Each line: an image, and the value of the operator's chart that pins its content. Into a mirror
# go all of them with all their architectures, by:
#
#   grep -v '^#' manifests/images.txt | while read -r image digest; do
#     skopeo copy --all "docker://$image" "docker://$MIRROR/${image#*/}"
#   done
#
# and out of it they come by the value next to each digest: --set image.registry=$MIRROR, …; the one
# of `kubectl fastapi profile --py-spy` by that command's option.
"""


def files(root: Path) -> Mapping[str, str]:
    """The list, and the chart's own file with the annotation in it, by path."""
    found = list(_images(root))
    source = documents.heading(f"{_CHART} and the operator's settings")
    lines = "".join(f"{image} {value}\n" for value, image in found)
    told = "".join(f"    - image: {image}\n" for _, image in found)
    chart = (root / _CHART / "Chart.yaml").read_text()
    return {
        "manifests/images.txt": source + _HEAD + lines,
        f"{_CHART}/Chart.yaml": re.sub(
            r"(?<=  artifacthub\.io/images: \|\n)(    .*\n)+", told, chart
        ),
    }


def _images(root: Path) -> Iterator[tuple[str, str]]:
    """Each image by the value that pins it, or the option that names it."""
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
