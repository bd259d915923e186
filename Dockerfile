ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE} AS dependencies
# Process 1 hands signals on at any moment, and reaps orphans.
RUN apt-get update && apt-get install --yes --no-install-recommends tini \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache
# /etc/shadow holds the day on which a user was made.
RUN groupadd --gid 10001 tfdqn \
    && SOURCE_DATE_EPOCH=0 \
       useradd --uid 10001 --gid tfdqn --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tfdqn \
    && install --directory --owner tfdqn --group tfdqn /var/lib/tfdqn/run /workspace/runs
# What changes seldom, in a layer of its own: setup.cfg without the package installs only what that depends on.
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
COPY setup.cfg pyproject.toml constraints.txt /opt/source/
# The same each time: no order is by hashes, and bytecode, which holds its source's date, is of sources of 1980.
RUN export PYTHONHASHSEED=0 \
    && python3 -m venv /opt/tfdqn \
    && /opt/tfdqn/bin/pip install --quiet --no-compile \
       --constraint /opt/source/constraints.txt "/opt/source${EXTRAS:+[$EXTRAS]}" \
    && /opt/tfdqn/bin/pip uninstall --quiet --yes tfdqn \
    # 220 MB of C++ headers, which nothing here compiles against.
    && rm -r /opt/tfdqn/lib/python3.11/site-packages/tensorflow/include /opt/source/build /opt/source/*.egg-info \
    && find /opt/tfdqn -exec touch --no-dereference --date=@315532800 {} + \
    && /opt/tfdqn/bin/python -m compileall -qq -f --invalidation-mode timestamp /opt/tfdqn/lib \
    && find /opt/tfdqn -exec touch --no-dereference --date=@315532800 {} +

FROM dependencies AS package
# The list of what is installed is made by what is installed nowhere else.
RUN python3 -m venv /listing && /listing/bin/pip install --quiet cyclonedx-bom==7.5.0 cyclonedx-python-lib==11.12.0
COPY README.md LICENSE /opt/source/
COPY tfdqn /opt/source/tfdqn
ARG SOURCE_DATE_EPOCH
RUN export PYTHONHASHSEED=0 \
    && /opt/tfdqn/bin/pip install --quiet --no-deps --no-compile --prefix /package /opt/source \
    && PYTHONPATH=/package/lib/python3.11/site-packages /listing/bin/cyclonedx-py environment \
       --output-reproducible --spec-version 1.6 --output-file /package/sbom.cdx.json /opt/tfdqn/bin/python \
    && find /package -exec touch --no-dereference --date=@315532800 {} + \
    && /opt/tfdqn/bin/python -m compileall -qq -f --invalidation-mode timestamp -s /package -p /opt/tfdqn /package/lib \
    && find /package -exec touch --no-dereference --date=@315532800 {} +

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
ARG BASE_IMAGE
ARG BASE_DIGEST=""
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
ENV TFDQN_REVISION=${REVISION}
LABEL org.opencontainers.image.title="tfdqn" \
      org.opencontainers.image.description="Deep Q-networks, trained in parallel: every role of a job" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE:+$SOURCE#readme}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}" \
      tfdqn.sbom="/opt/tfdqn/sbom.cdx.json"
