# One file, four images: cpu, gpu, tpu and test (the cpu image with the tests and their tools).
#
#   make image BASE_DIGEST=sha256:... [TARGET=cpu|gpu|tpu|test]
#
# BASE_DIGEST has no default on purpose. A tag moves, so the base is named by digest; a digest that
# nobody here has pulled would be an invented one. docs/images.md says how to read it from your
# registry. Without it the build stops at the first FROM.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG BASE_DIGEST


FROM ${BASE}@${BASE_DIGEST} AS base
# HOME and every cache follow /tmp: the root may be read-only and the user id may be any.
# USER: libraries ask for the user's name, and a random id has no entry in /etc/passwd.
# PYTHONUNBUFFERED: the last lines before a kill must reach the log.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    USER=lockstep


# The environment is built apart, so that pip's traces stay out of the images. The venv has no pip:
# the base's own pip writes into it. The two secrets are optional: a pip.conf for a private index
# and the certificates it needs; neither reaches a layer.
FROM base AS install
COPY tests/container/install.sh tests/supply_chain/sbom.py /

FROM install AS install-cpu
COPY requirements-cpu.lock /requirements.lock
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    --mount=type=cache,target=/var/cache/pip \
    sh /install.sh

FROM install AS install-gpu
COPY requirements-gpu.lock /requirements.lock
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    --mount=type=cache,target=/var/cache/pip \
    sh /install.sh

FROM install AS install-tpu
COPY requirements-tpu.lock /requirements.lock
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    --mount=type=cache,target=/var/cache/pip \
    sh /install.sh

FROM install AS install-test
COPY requirements-test.lock /requirements.lock
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/run/secrets/certificates \
    --mount=type=cache,target=/var/cache/pip \
    sh /install.sh


# Settings only, no files: each image below adds its environment first and the code last, so that a
# change of the code moves one small layer.
FROM base AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Lockstep" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
# A number, so that Kubernetes can see that it is not root; any other id works as well.
USER 65532:65532
# The list form makes Python process 1: SIGTERM reaches the trainer and no shell swallows it.
ENTRYPOINT ["python", "-m", "trainer"]

FROM runtime AS gpu
COPY --from=install-gpu /opt/venv /opt/venv
COPY LICENSE pyproject.toml ./
COPY common common
COPY launch launch
COPY trainer trainer
COPY examples examples

FROM runtime AS tpu
COPY --from=install-tpu /opt/venv /opt/venv
COPY LICENSE pyproject.toml ./
COPY common common
COPY launch launch
COPY trainer trainer
COPY examples examples

FROM runtime AS test
COPY --from=install-test /opt/venv /opt/venv
ENV HYPOTHESIS_STORAGE_DIRECTORY=/tmp/.hypothesis
COPY . .
ENTRYPOINT ["python", "-m", "tests.container.ci"]

FROM runtime AS cpu
COPY --from=install-cpu /opt/venv /opt/venv
COPY LICENSE pyproject.toml ./
COPY common common
COPY launch launch
COPY trainer trainer
COPY examples examples
