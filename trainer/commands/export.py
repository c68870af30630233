"""`python -m trainer export RUN --to=DIR`: the trained model as .keras, SavedModel and LiteRT."""

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.exit_codes import ExitCode, RunError
from trainer.commands import Parser, add_checkpoint
from trainer.runtime import quiet
from trainer.storage.failures import local_io

if TYPE_CHECKING:
    import keras

    from trainer.commands.restored import Restored

_OPERATION = re.compile(r"'tf\.\w+' op .*")


def main(args: Sequence[str]) -> None:
    """Run the command."""
    parser = Parser("export", "Write the model of a checkpoint as .keras and SavedModel.")
    parser.add_argument("workdir", help="folder or URL of the run")
    parser.add_argument("--to", type=Path, required=True, help="folder, created if it is missing")
    parser.add_argument("--model", default="main", help="which model of the task (default: main)")
    parser.add_argument("--litert", action="store_true", help="also as model.tflite, for LiteRT")
    parser.add_argument("--config", default="", help="experiment file that the run used")
    add_checkpoint(parser)
    flags = parser.parse_args(args)
    with quiet.loading():
        from trainer.commands.restored import restore_task

    restored = restore_task(flags.workdir, flags.config, flags.checkpoint)
    card = write(restored, flags.to, flags.model, litert=flags.litert)
    files = ", ".join(card["files"])
    print(f"exported step {restored.step} of {flags.workdir} to {flags.to}: {files}")
    for name, reason in card["missing"].items():
        print(f"{name} is missing: {reason}")


def write(
    restored: "Restored", folder: Path, role: str = "main", *, litert: bool = False
) -> dict[str, Any]:
    """Write `saved_model/`, `model.keras` and `export.json`; return what the last one says.

    A form that the model does not have is left out, with its reason: a subclass of `keras.Model`
    without `get_config` has no `.keras` file.

    Args:
        restored: whose model is written.
        folder: created if it is missing.
        role: of the model.
        litert: write `model.tflite`, too; converting takes seconds to minutes.

    Raises:
        RunError: BAD_FLAG where the task has no such model.
    """
    models = restored.task.models
    if role not in models:
        raise RunError(
            ExitCode.BAD_FLAG, f"--model={role!r}: the task has {', '.join(sorted(models))}"
        )
    model, missing = models[role], dict[str, str]()
    with local_io(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
        model.export(str(folder / "saved_model"), format="tf_saved_model", verbose=False)
        forms: dict[str, Callable[[Path], None]] = {"model.keras": model.save}
        forms |= {"model.tflite": _convert} if litert else {}
        for name, save in forms.items():
            if reason := _missing(save, folder / name):
                missing[name] = reason
        files = ["saved_model", *(name for name in forms if name not in missing)]
        card = _card(restored, model) | {"files": files, "missing": missing}
        (folder / "export.json").write_text(json.dumps(card, indent=2) + "\n")
    return card


def _missing(save: Callable[[Path], None], path: Path) -> str:
    """Write a file; return why the model has none in this form, "" where it is written."""
    from trainer import user_code

    path.unlink(missing_ok=True)  # of an earlier export
    try:
        save(path)
    except OSError:
        raise
    except Exception as error:  # Keras and the converter raise what their parts raise
        path.unlink(missing_ok=True)
        # The converter tells where it was for many lines, before what it has not.
        if lacking := _OPERATION.search(str(error)):
            return f"{type(error).__name__}: {lacking[0]}"
        return user_code.reason_of(error).partition(" Example: ")[0]
    return ""


def _convert(path: Path) -> None:
    """Write the SavedModel beside `path` for LiteRT, with its built-in operations alone."""
    import tensorflow as tf

    with quiet.loading(), contextlib.redirect_stdout(None):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path.parent / "saved_model"))
        path.write_bytes(converter.convert())


def _card(restored: "Restored", model: "keras.Model") -> dict[str, Any]:
    from trainer import model_inputs

    inputs = _described(model_inputs.reads(model), lambda tensor, _: tensor.name)
    outputs = _described(model_inputs.gives(model), lambda _, index: f"output_{index}")
    has_images = any(feature.is_image for feature in restored.info.features.values())
    return {
        "step": restored.step,
        "state_digest": restored.digest,
        "weights": f"average, decay {decay}" if (decay := restored.config.ema_decay) else "last",
        "inputs": inputs,
        "outputs": outputs,
        # Of a model with one input and one output also by these names.
        **({"input_shape": s["shape"], "input_dtype": s["dtype"]} if (s := _only(inputs)) else {}),
        **({"images": "float32 in [0, 1]: bytes / 255"} if has_images else {}),
        **({"output_shape": s["shape"]} if (s := _only(outputs)) else {}),
    }


def _only(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    return tensors[0] if len(tensors) == 1 else {}


def _described(tensors: Any, name_of: Callable[[Any, int], str]) -> list[dict[str, Any]]:
    """Describe inputs or outputs in their order, by the names that the SavedModel has for them."""
    if isinstance(tensors, Mapping):
        named = list(tensors.items())
    else:
        each = tensors if isinstance(tensors, list | tuple) else [tensors]
        named = [(name_of(tensor, index), tensor) for index, tensor in enumerate(each)]
    return [
        {"name": name, "shape": list(tensor.shape[1:]), "dtype": str(tensor.dtype)}
        for name, tensor in named
    ]
