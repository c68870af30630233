"""What an error of TensorFlow's runtime is about: a device, the compiler, or another worker.

The type does not tell: an uncorrectable memory error of a card, a program that XLA cannot compile,
and the word of a peer that failed are all an InternalError. The message tells by the layer that
wrote it. Driver and libraries of a card leave the names of their own error codes in it, the passes
of a compiler theirs, and what came from elsewhere is introduced as such.
"""

import re
from typing import Literal

import tensorflow as tf

Origin = Literal["device", "compiler", "peer", "unknown"]

_KINDS = (
    tf.errors.InternalError,
    tf.errors.AbortedError,
    tf.errors.UnknownError,
    tf.errors.UnavailableError,
    tf.errors.FailedPreconditionError,
)
# The executor of collectives ends every other operation of the step with the error of the first,
# and hands it to the other workers.
_PEER = re.compile(r"Collective ops is aborted by|from remote|recv error|Additional GRPC error")
# Looked for first: a compiler names the card it compiles for, and its errors come back at every
# start. The same holds for a driver that refuses a program, and for arguments that a library of
# kernels does not know.
_COMPILER = re.compile(
    r"during context \[|RET_CHECK failure|\bHLO\b|hlo_\w+\.cc|HloModule|\bLLVM\b|\bMLIR\b|\bptxas\b"
    r"|\bPTX\b|nvlink|libdevice|XLA compil|[Cc]ompilation fail|Failed to compile|fatbinary"
    r"|CUDA_ERROR_(?:NO_BINARY_FOR_GPU|INVALID_PTX|UNSUPPORTED_PTX_VERSION|INVALID_IMAGE"
    r"|INVALID_SOURCE|JIT_COMPILER_NOT_FOUND)"
    r"|CU(?:DNN|BLAS)_STATUS_(?:NOT_SUPPORTED|BAD_PARAM|INVALID_VALUE|ARCH_MISMATCH)"
)
# A card that is full is no fault of it: the same program fills it again.
_FULL = re.compile(r"OUT_OF_MEMORY|_ALLOC_FAILED|out of memory|OOM when allocating")
_DEVICE = re.compile(
    r"CUDA_ERROR_|CUDA error|\bcuda[A-Z]\w+Error|CU(?:DNN|BLAS|SOLVER|FFT|SPARSE)_(?:STATUS_)?\w+"
    r"|\bhipError|HIP error|\bNCCL\b|\bncclError|\bECC\b|launch failed|Failed to launch"
    r"|[Ff]ailed to (?:enqueue|synchron)|[Cc]ould not synchronize|did not block host until done"
    r"|\bXid\b|GPU has fallen off the bus|TPU (?:core|chip|driver|is unhealthy|initialization)"
)


def origin(error: Exception, *, is_alone: bool) -> Origin:
    """Return whose error it is; "unknown" where the message does not tell, or it is of no device.

    Args:
        error: as TensorFlow raised it.
        is_alone: there is no other worker that it could have come from.
    """
    text = str(error)
    if not isinstance(error, _KINDS):
        return "unknown"
    if _COMPILER.search(text):
        return "compiler"
    if _PEER.search(text) and not is_alone:
        return "peer"
    return "device" if _DEVICE.search(text) and not _FULL.search(text) else "unknown"
