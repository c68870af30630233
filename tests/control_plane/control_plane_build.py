"""Builds etcd and Kubernetes from their Go modules, pinned by version and by the sums of Go."""

import json
import os
import subprocess
from pathlib import Path

KUBERNETES = "1.34.4"
ETCD = "3.6.5"
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_ETCD_MAIN = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""
_TOOLS = """//go:build tools

package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	_ "k8s.io/kubernetes/cmd/kube-scheduler/app"
)
"""


def build(folder: Path) -> None:
    """Builds what is missing in FOLDER/bin."""
    etcd, kube = folder / "etcd", folder / "kubernetes"
    for module in (etcd, kube):
        module.mkdir(parents=True, exist_ok=True)
    if not (folder / "bin" / "etcd").exists():
        (etcd / "main.go").write_text(_ETCD_MAIN)
        (etcd / "go.mod").write_text(
            f"module etcd\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 v{ETCD}\n"
        )
        _go(etcd, "mod", "tidy")
        _go(etcd, "build", "-o", "../bin/etcd", ".")
    missing = [name for name in _PROGRAMS if not (folder / "bin" / name).exists()]
    if missing:
        (kube / "tools.go").write_text(_TOOLS)
        (kube / "go.mod").write_text(_kubernetes_module(kube))
        _go(kube, "mod", "tidy")
        major, minor, _ = KUBERNETES.split(".")
        version = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
        stamp = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in version.items())
        for name in missing:
            source = f"k8s.io/kubernetes/cmd/{name}"
            _go(kube, "build", "-ldflags", f"-s -w {stamp}", "-o", f"../bin/{name}", source)


def _kubernetes_module(kube: Path) -> str:
    """A module file that takes the staging repositories at the version that belongs to ours."""
    (kube / "go.mod").write_text("module kubernetes\n\ngo 1.24\n")
    answer = json.loads(_go(kube, "mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"))
    lines = Path(answer["GoMod"]).read_text().splitlines()
    staged = [line.split()[-3] for line in lines if "=> ./staging/" in line]
    version = KUBERNETES.replace("1.", "0.", 1)
    replaced = "\n".join(f"replace {name} => {name} v{version}" for name in staged)
    language = next(line for line in lines if line.startswith("go "))
    required = f"require k8s.io/kubernetes v{KUBERNETES}"
    return f"module kubernetes\n\n{language}\n\n{required}\n\n{replaced}\n"


def _go(directory: Path, *args: str) -> str:
    env = os.environ | {"GOFLAGS": "-buildvcs=false -mod=mod"}
    command = ["go", *args]
    done = subprocess.run(command, cwd=directory, env=env, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()
