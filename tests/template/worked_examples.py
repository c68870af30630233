"""Trains the worked examples for three steps each, in a process of its own.

`python -m tests.template.worked_examples REPLICAS FOLDER NAME ...` prints {config: digest} as JSON.
"""

import dataclasses
import json
import sys

from trainer import train
from trainer.config import experiment_file

QUICK = ("digits_sharpness_aware", "regression")
LONG = ("digits_distillation", "digits_wgan_gp", "digits_simclr", "text_transformer")


def main(replicas: int, folder: str, names: list[str]) -> None:
    digests = {}
    for name in names:
        config = dataclasses.replace(experiment_file.load(name), train_steps=3, epochs=0)
        summary = train(config, f"{folder}/{name}", cpu_replicas=replicas).summary
        assert summary["replicas"] == replicas
        digests[name] = summary["state_digest"]
    print(json.dumps(digests))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
