"""The verbs that start jobs: local, submit, render."""

import json
import sys
from argparse import Namespace

from launch import api
from launch.cli import plan
from launch.cli.flags import spec_from
from launch.cli.views import DETACHED, follow_to_end, open_backend, open_local, show
from launch.code import preflight, upload
from launch.render import manifest
from launch.spec.job import JobSpec

_IN_IMAGE = JobSpec.command
_HERE = (sys.executable, "-m", "trainer")


def run_local(values: Namespace) -> int:
    """Runs a job here and prints its logs; Ctrl-C lets it save and stop."""
    backend = open_local(values)
    job = api.submit(spec_from(values, backend.command), backend, check=values.check)
    print(f"[launch] {job.name}", flush=True)
    try:
        return follow_to_end(backend, job.name)
    except KeyboardInterrupt:
        print("[launch] saving and stopping; Ctrl-C again detaches", flush=True)
        job.cancel()
        return follow_to_end(backend, job.name)


def submit(values: Namespace) -> int:
    """Starts a job, or shows what would be started."""
    local = values.backend == "local"
    spec = spec_from(values, _HERE if local else _IN_IMAGE)
    if values.check:
        preflight.check(spec)
    if values.dry_run == "client" and not local:
        return _show_documents(spec, values)
    backend = open_backend(values)
    if values.dry_run != "none":
        lines = backend.dry_run(spec)
        show(lines, "\n".join(lines), values)
        return 0
    if plan.must_ask(values):
        backend.dry_run(spec)  # what is refused is nothing to ask about
        plan.show(spec, values)
        if not plan.ask():
            print("[launch] nothing was sent", file=sys.stderr)
            return 1
    job = api.submit(spec, backend, check=False)
    if not plan.must_ask(values):
        plan.show(spec, values)
    show({"name": job.name, "backend": values.backend}, job.name, values)
    if not values.follow:
        return 0
    try:
        return follow_to_end(backend, job.name)
    except KeyboardInterrupt:
        print(f"[launch] detached; {job.name} goes on (`launch logs --follow {job.name}`)")
        return DETACHED


def render(values: Namespace) -> int:
    """Prints the documents of a job."""
    return _show_documents(spec_from(values, _IN_IMAGE), values)


def _show_documents(spec: JobSpec, values: Namespace) -> int:
    """One YAML stream, or one List for JSON: kubectl takes both."""
    spec = upload.plan(spec)
    if spec.code and spec.code.url:
        print(f"[launch] `submit` uploads the files of --code to {spec.code.url}", file=sys.stderr)
    if values.output == "json":
        items = manifest.render(spec)
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    else:
        print(manifest.text(spec), end="")
    return 0
