ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE} AS dependencies
# Process 1 hands signals on at any moment, and reaps orphans.
RUN apt-get update && apt-get install --yes --no-install-recommends tini && rm -r /var/lib/apt/lists/*
RUN groupadd --gid 10001 tfdqn \
    && useradd --uid 10001 --gid tfdqn --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tfdqn \
    && install --directory --owner tfdqn --group tfdqn /var/lib/tfdqn/run /workspace/runs
# What changes seldom, in a layer of its own: setup.cfg without the package installs only what that depends on.
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
COPY setup.cfg pyproject.toml constraints.txt /opt/source/
RUN python3 -m venv /opt/tfdqn \
    && /opt/tfdqn/bin/pip install --quiet --constraint /opt/source/constraints.txt "/opt/source${EXTRAS:+[$EXTRAS]}" \
    && /opt/tfdqn/bin/pip uninstall --quiet --yes tfdqn \
    # 220 MB of C++ headers, which nothing here compiles against.
    && rm -r /opt/tfdqn/lib/python3.11/site-packages/tensorflow/include

FROM dependencies AS package
COPY README.md LICENSE /opt/source/
COPY tfdqn /opt/source/tfdqn
RUN /opt/tfdqn/bin/pip install --quiet --no-deps --prefix /package /opt/source

FROM dependencies
# Nothing but /tmp and the run's directory need be writable; whatever uid a container is given is at home in /tmp.
ENV PATH=/opt/tfdqn/bin:$PATH HOME=/tmp TFDQN_BEATS=/tmp/beats PYTHONUNBUFFERED=1
# What the driver compiles for GPUs outlives the container where that is a volume.
ENV CUDA_CACHE_PATH=/workspace/runs/.cuda
WORKDIR /workspace
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["tfdqn", "health"]
ENTRYPOINT ["tini", "--", "tfdqn"]
CMD ["--help"]
COPY configs /workspace/configs
COPY --from=package /package /opt/tfdqn
ARG VERSION=""
ARG REVISION=""
ENV TFDQN_REVISION=${REVISION}
LABEL org.opencontainers.image.title="tfdqn" \
      org.opencontainers.image.description="Deep Q-networks, trained in parallel: every role of a job" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
