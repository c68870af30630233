"""What a classifier that never met a GAN makes of its drawings: one JSON object.

`python -m benchmarks.drawings GAN_RUN CLASSIFIER_RUN`; real held-out images are the comparison.
"""

import argparse
import json

import numpy as np
import tensorflow as tf

from trainer.commands import predict
from trainer.commands.restored import restore_task
from trainer.data.records.files import Stage
from trainer.data.serving import reading

COUNT = 1000


def main() -> None:
    """Print how sure the classifier is, and how many of each class it sees."""
    parser = argparse.ArgumentParser()
    parser.add_argument("gan")
    parser.add_argument("classifier")
    flags = parser.parse_args()
    gan = restore_task(flags.gan)
    noise = tf.random.stateless_normal([COUNT, gan.task.latent], [1, 1], alg="philox")
    drawn = gan.task.models["main"](noise, training=False).numpy()
    classifier = restore_task(flags.classifier)
    real = reading.load(classifier.info, classifier.info.evaluation, Stage())["image"]
    print(json.dumps({"drawn": _look(classifier, drawn), "real": _look(classifier, real)}))


def _look(classifier, images) -> dict[str, object]:
    logits = predict.outputs(classifier, images)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    counts = np.bincount(p.argmax(-1), minlength=p.shape[-1])
    return {
        "images": len(images),
        "mean_confidence": round(float(p.max(-1).mean()), 4),
        "over_0.9": round(float((p.max(-1) > 0.9).mean()), 4),
        "of_each_class": counts.tolist(),
    }


if __name__ == "__main__":
    main()
