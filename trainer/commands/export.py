"""`python -m trainer export RUN --to=DIR`: the trained model as .keras and as SavedModel."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser, add_checkpoint
from trainer.runtime import quiet
from trainer.storage.failures import local_io

if TYPE_CHECKING:
    from trainer.commands.restored import Restored


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("export", "Write the model of a checkpoint as .keras and SavedModel.")
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument("--to", type=Path, required=True, help="folder, created if it is missing")
    parser.add_argument("--model", default="main", help="which model of the task (default: main)")
    parser.add_argument("--config", default="", help="experiment file that the run used")
    add_checkpoint(parser)
    flags = parser.parse_args(args)
    with quiet.loading():
        from trainer.commands.restored import restore_task

    restored = restore_task(flags.workdir, flags.config, flags.checkpoint)
    write(restored, flags.to, flags.model)
    print(f"exported step {restored.step} of {flags.workdir}: {flags.to}/model.keras, saved_model/")


def write(restored: "Restored", folder: Path, role: str = "main") -> None:
    """Write `model.keras`, `saved_model/` and `export.json`, which says what goes in.

    Raises:
        RunError: BAD_FLAG where the task has no such model.
    """
    models = restored.task.models
    if role not in models:
        raise RunError(
            ExitCode.BAD_FLAG, f"--model={role!r}: the task has {', '.join(sorted(models))}"
        )
    model = models[role]
    with local_io(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / "model.keras")
        model.export(str(folder / "saved_model"), format="tf_saved_model", verbose=False)
        (folder / "export.json").write_text(json.dumps(_card(restored, role), indent=2) + "\n")


def _card(restored: "Restored", role: str) -> dict[str, object]:
    from trainer import model_inputs

    model = restored.task.models[role]
    inputs = _described(model_inputs.reads(model))
    outputs = _described(model_inputs.gives(model))
    return {
        "step": restored.step,
        "state_digest": restored.digest,
        "weights": f"average, decay {decay}" if (decay := restored.config.ema_decay) else "last",
        "inputs": inputs,
        "outputs": outputs,
        # Of a model with one input and one output also by these names.
        **({"input_shape": s["shape"], "input_dtype": s["dtype"]} if (s := _only(inputs)) else {}),
        "images": "float32 in [0, 1]: bytes / 255",
        **({"output_shape": s["shape"]} if (s := _only(outputs)) else {}),
    }


def _only(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    return tensors[0] if len(tensors) == 1 else {}


def _described(tensors: Any) -> list[dict[str, Any]]:
    """Describe inputs or outputs in their order: by key, or else by their name in the model."""
    if isinstance(tensors, Mapping):
        named = list(tensors.items())
    else:
        each = tensors if isinstance(tensors, list | tuple) else [tensors]
        named = [(tensor.name, tensor) for tensor in each]
    return [
        {"name": name, "shape": list(tensor.shape[1:]), "dtype": str(tensor.dtype)}
        for name, tensor in named
    ]
