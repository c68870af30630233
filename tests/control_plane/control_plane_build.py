"""Builds the programs of a cluster from their Go modules, pinned by version and by the sums of Go.

One module requires them all, with one version of Kubernetes' libraries: what they share is
compiled once, which is most of the time. FOLDER is a cache: a program's file carries its version.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

KUBERNETES = "1.34.4"


@dataclasses.dataclass(frozen=True)
class _Program:
    module: str
    version: str
    package: str


def _of_kubernetes(name: str) -> _Program:
    return _Program("k8s.io/kubernetes", KUBERNETES, f"k8s.io/kubernetes/cmd/{name}")


_TRAINER = "github.com/kubeflow/trainer/v2"
_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
_PROGRAMS = {
    "etcd": _Program("go.etcd.io/etcd/server/v3", "3.6.5", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": _of_kubernetes("kube-apiserver"),
    "kube-controller-manager": _of_kubernetes("kube-controller-manager"),
    "kube-scheduler": _of_kubernetes("kube-scheduler"),
    "kubelet": _of_kubernetes("kubelet"),
    "coredns": _Program("github.com/coredns/coredns", "1.12.4", "./coredns"),
    "jobset": _Program("sigs.k8s.io/jobset", "0.10.1", "sigs.k8s.io/jobset"),
    "kueue": _Program("sigs.k8s.io/kueue", "0.15.0", "sigs.k8s.io/kueue/cmd/kueue"),
    "trainer": _Program(_TRAINER, "2.1.0", f"{_TRAINER}/cmd/trainer-controller-manager"),
    "kube-router": _Program(_ROUTER, "2.1.0", f"{_ROUTER}/cmd/kube-router"),
    "pause": _Program("", "1", "./pause"),
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = ("kubelet", "coredns", "pause", "jobset", "kueue", "trainer", "kube-router")

# CoreDNS with the plugins that are used here alone: those of the clouds double its build.
_COREDNS = """package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
"""
# Holds the namespaces of a pod: the one program of the image that every pod starts with.
_PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for one := range signals {
		if one != syscall.SIGCHLD {
			return
		}
		// Process 1 of a shared process namespace inherits orphans.
		for child := 1; child > 0; {
			child, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
}
"""


def program(folder: Path, name: str) -> Path:
    """Where a program is, or will be."""
    return folder / "bin" / f"{name}-{_PROGRAMS[name].version}"


def build(folder: Path, names: tuple[str, ...]) -> None:
    """Builds what is missing of these programs, and says how long each took."""
    missing = [name for name in names if not program(folder, name).exists()]
    if not missing:
        return
    source = _module(folder / "source")
    for name in missing:
        started = time.monotonic()
        made = program(folder, name)
        _go(source, "build", "-ldflags", _link(), "-o", str(made), _PROGRAMS[name].package)
        print(f"built {made.name} in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _module(source: Path) -> Path:
    """The module: what it requires, and the two programs that are its own."""
    for name, text in (("coredns", _COREDNS), ("pause", _PAUSE)):
        (source / name).mkdir(parents=True, exist_ok=True)
        (source / name / "main.go").write_text(text)
    required = {one.module: one.version for one in _PROGRAMS.values() if one.module}
    lines = [f"require {module} v{version}" for module, version in required.items()]
    # Kubernetes' own module file takes its libraries from folders that a module does not carry.
    libraries = KUBERNETES.replace("1.", "0.", 1)
    lines += [f"replace {name} => {name} v{libraries}" for name in _staged(source)]
    (source / "go.mod").write_text("module cluster\n\ngo 1.25.0\n\n" + "\n".join(lines) + "\n")
    return source


def _staged(source: Path) -> list[str]:
    (source / "go.mod").write_text("module cluster\n")
    answer = json.loads(_go(source, "mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"))
    lines = Path(answer["GoMod"]).read_text().splitlines()
    return [line.split()[-3] for line in lines if "=> ./staging/" in line]


def _link() -> str:
    major, minor, _ = KUBERNETES.split(".")
    stamp = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    said = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items()]
    return " ".join(["-s -w", *said])


def _go(directory: Path, *args: str) -> str:
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false -mod=mod"
    env = {"GOGC": "400", **os.environ, "GOFLAGS": flags}  # GOGC: memory for a quarter of the time
    done = subprocess.run(["go", *args], cwd=directory, env=env, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()
