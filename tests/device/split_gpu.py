"""The trainer on one GPU that is split into two logical ones, which MirroredStrategy then uses."""

import os
import sys

import tensorflow as tf

from trainer.__main__ import main

_MIB_EACH = 8192

if __name__ == "__main__":
    gpu = tf.config.list_physical_devices("GPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration(memory_limit=_MIB_EACH)] * 2
    tf.config.set_logical_device_configuration(gpu, halves)
    code = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
