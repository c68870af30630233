"""Serves the chips of one TPU host to the coordinator of a multi-host slice (experimental)."""

from tensorflow.core.protobuf import tensorflow_server_pb2
from tensorflow.python.training import server_lib

server = tensorflow_server_pb2.ServerDef(protocol="grpc", job_name="tpu_worker", task_index=0)
server.cluster.job.add(name="tpu_worker").tasks[0] = "localhost:8470"
server_lib.Server(server).join()
