"""The verbs that start jobs: local, submit, render."""

import json
import sys

from absl import flags

from launch import manifest, profiles, shipping
from launch.backends import open_backend, open_local
from launch.spec import JobSpec
from launch.spec_from_flags import spec_from
from launch.views import DETACHED, follow_to_end, show

_IN_IMAGE = ("python", "-m", "trainer")
_HERE = (sys.executable, "-m", "trainer")


def run_local(values: flags.FlagValues, _: list[str], trainer: list[str]) -> int:
    """Runs a job here and prints its logs; Ctrl-C lets it save and stop."""
    profiles.apply(values)
    backend = open_local(values["state_dir"].value)
    name = backend.submit(spec_from(values, trainer, _HERE))
    print(f"[launch] {name}", flush=True)
    try:
        return follow_to_end(backend, name)
    except KeyboardInterrupt:
        print("[launch] saving and stopping; Ctrl-C again leaves it to itself", flush=True)
        backend.cancel(name)
        return follow_to_end(backend, name)


def submit(values: flags.FlagValues, _: list[str], trainer: list[str]) -> int:
    """Starts a job, or shows what would be started."""
    profiles.apply(values)
    local = values["backend"].value == "local"
    spec = spec_from(values, trainer, _HERE if local else _IN_IMAGE)
    if values["dry_run"].value == "client" and not local:
        return _show_documents(spec, values)
    backend = open_backend(values)
    if values["dry_run"].value != "none":
        lines = backend.dry_run(spec)
        show(lines, "\n".join(lines), values)
        return 0
    name = backend.submit(spec)
    _remark(spec)
    show({"name": name, "backend": values["backend"].value}, name, values)
    if not values["follow"].value:
        return 0
    try:
        return follow_to_end(backend, name)
    except KeyboardInterrupt:
        print(f"[launch] detached; {name} goes on (`launch logs --follow {name}`)", flush=True)
        return DETACHED


def render(values: flags.FlagValues, _: list[str], trainer: list[str]) -> int:
    """Prints the documents of a job."""
    profiles.apply(values)
    return _show_documents(spec_from(values, trainer, _IN_IMAGE), values)


def _show_documents(spec: JobSpec, values: flags.FlagValues) -> int:
    """One YAML stream, or one List for JSON: kubectl takes both."""
    spec = shipping.plan(spec)
    if spec.code and spec.code.url:
        print(f"[launch] `submit` puts the files of --code at {spec.code.url}", file=sys.stderr)
    if values["output"].value == "json":
        items = manifest.render(spec)
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    else:
        print(manifest.text(spec), end="")
    return 0


def _remark(spec: JobSpec) -> None:
    if said := manifest.remark(spec):
        print(f"[launch] {said}", file=sys.stderr)
