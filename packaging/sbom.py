"""Writes what is linked into a binary: `sbom.py TARGET BINARY SBOM LICENCES`.

SBOM is a bill of materials in CycloneDX's JSON, checked against its schema; LICENCES has the texts of the licences.
Both are made from `cargo tree`, `cargo metadata` and `Cargo.lock`: the crates of the target, with the digests of their archives.
What only builds the others (build scripts, macros) is in the bill with the scope `excluded`.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parents[1]


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


class Crates:
    """The packages that one target needs, by id."""

    def __init__(self, target):
        found = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))
        self.packages = {package["id"]: package for package in found["packages"]}
        self.nodes = {node["id"]: node["deps"] for node in found["resolve"]["nodes"]}
        self.root = found["resolve"]["root"]
        self.linked = self.in_tree(target, "normal,no-proc-macro")
        self.used = self.in_tree(target, "normal,build")
        # The program's own crates are one component: the program.
        self.own = {id for id, package in self.packages.items() if package["source"] is None and id != self.root}

    def in_tree(self, target, edges):
        """The packages of a build: the metadata has those as well that only features of tests bring."""
        lines = cargo("tree", "--package", "switchback", "--target", target, "--edges", edges, "--prefix", "none", "--format", "{p}").splitlines()
        names = {tuple(re.match(r"(\S+) v(\S+)", line).groups()) for line in lines}
        return {id for id, package in self.packages.items() if (package["name"], package["version"]) in names}

    def needed(self, id):
        """The dependencies of a package, those of tests never."""
        for dep in self.nodes[id]:
            if dep["pkg"] in self.used and any(kind["kind"] != "dev" for kind in dep["dep_kinds"]):
                yield from self.needed(dep["pkg"]) if dep["pkg"] in self.own else [dep["pkg"]]


def digests():
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in locked}


def component(package, checksum, scope):
    name, version = package["name"], package["version"]
    licence = (package["license"] or "").replace("/", " OR ")
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pkg:cargo/{name}@{version}",
        purl=PackageURL("cargo", None, name, version),
        description=(package["description"] or "").strip() or None,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        scope=scope,
    )


def bill(crates, target, binary):
    locked, parts = digests(), {}
    for id in crates.used - crates.own:
        package = crates.packages[id]
        scope = ComponentScope.REQUIRED if id in crates.linked else ComponentScope.EXCLUDED
        parts[id] = component(package, locked[package["name"], package["version"]], scope)
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    main = parts[crates.root]
    main.type, main.scope = ComponentType.APPLICATION, None
    main.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
    bom = Bom(components=[part for id, part in parts.items() if id != crates.root])
    bom.metadata.component = main
    # The same binary has the same bill, byte for byte.
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{target}:{digest}")
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    for id, part in parts.items():
        bom.register_dependency(part, [parts[other] for other in dict.fromkeys(crates.needed(id))])
    return JsonV1Dot6(bom).output_as_string(indent=1)


def licences(crates):
    """Each text once, with the crates that it came with. Crates without one are named with their licence."""
    texts, bare = {}, []
    for id in sorted(crates.linked - crates.own - {crates.root}):
        package = crates.packages[id]
        name = f"{package['name']} {package['version']}"
        folder = pathlib.Path(package["manifest_path"]).parent
        files = [path for path in sorted(folder.iterdir()) if re.match(r"(?i)(licen[cs]e|copying|notice)", path.name) and path.is_file()]
        for path in files:
            text = path.read_text(errors="replace").replace("\r\n", "\n").strip()
            texts.setdefault(text, []).append(name)
        if not files:
            bare.append(f"{name}: {package['license']}")
    rule = "-" * 72
    pages = [f"{', '.join(dict.fromkeys(names))}\n\n{text}" for text, names in sorted(texts.items(), key=lambda item: item[1])]
    if bare:
        pages.append("Without a text of their own:\n\n" + "\n".join(bare))
    return f"\n\n{rule}\n\n".join(pages) + "\n"


def main():
    target, binary, sbom, texts = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    crates = Crates(target)
    text = bill(crates, target, binary)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        sys.exit(f"{sbom}: {wrong}")
    sbom.write_text(text + "\n")
    texts.write_text(licences(crates))


if __name__ == "__main__":
    main()
