# The worker: the node image with torch and monai. The wheel of torch contains its CUDA libraries; the driver comes from the
# host (NVIDIA container toolkit). Without a GPU the same image uses the CPU; TORCH_INDEX=https://download.pytorch.org/whl/cpu
# makes one without CUDA, which is several GB smaller.
# Build from the root of the repository: docker build -f deploy/images/worker.Dockerfile .
FROM python:3.11-slim-bookworm AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/* && python -m venv /opt/venv
COPY requirements /src/requirements
COPY deploy/images/trim_venv.py /src/trim_venv.py
ARG TORCH_INDEX=https://pypi.org/simple
# One step: each writes a layer, and the environment is a third larger before it is trimmed. torch is installed by itself and without a
# hash, because the index decides which wheel it is.
RUN python /src/requirements/hashed.py torch >/src/pins.txt && /opt/venv/bin/pip install --no-compile --require-hashes -r /src/pins.txt \
    && /opt/venv/bin/pip install --no-compile --extra-index-url "$TORCH_INDEX" torch==2.13.0 \
    && python /src/requirements/hashed.py worker >/src/pins.txt && /opt/venv/bin/pip install --no-compile --require-hashes -r /src/pins.txt \
    && python /src/trim_venv.py /opt/venv && echo /opt/app >"$(echo /opt/venv/lib/python3.*/site-packages)/app.pth"

FROM dependencies AS application
RUN python -m venv /opt/pip
COPY pyproject.toml README.md LICENSE /src/
COPY core /src/core
COPY db /src/db
COPY imaging /src/imaging
COPY models /src/models
COPY dicom_node /src/dicom_node
COPY workers /src/workers
COPY console /src/console
COPY deploy /src/deploy
# The container's user can read the files even if the modes of the checkout are stricter.
RUN /opt/pip/bin/pip install --no-compile --no-deps --target /opt/app /src \
    && sed -i '1s|.*|#!/opt/venv/bin/python|' /opt/app/bin/dicom-node && chmod -R a+rX /opt/app
# What is compiled has a folder of its own, so that the layer of the packages, which is large, changes only with the pins.
ENV PYTHONPYCACHEPREFIX=/opt/compiled
RUN /opt/venv/bin/python -m deploy.images.compile_roles worker

FROM python:3.11-slim-bookworm
# The font: Chinese and Japanese names in the PDF. Its version is that of the Debian release.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends fonts-droid-fallback && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin node \
    && install -d -o node -g node -m 0750 /data
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=application /opt/app /opt/app
COPY --from=application /opt/compiled /opt/compiled
ENV PATH=/opt/app/bin:/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/compiled \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DICOM_NODE_CONFIG=/etc/dicom-node/node.toml \
    DICOM_NODE_HEARTBEAT_FILE=/tmp/heartbeat
RUN mkdir -p /usr/share/dicom-node && python -m deploy.images.sbom dicom-node-worker >/usr/share/dicom-node/sbom.cdx.json
# Last, because every commit has another revision.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dicom-node worker" \
      org.opencontainers.image.description="Runs the models of dicom-node on CPU or GPU and encodes their results" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /data
STOPSIGNAL SIGTERM
# Every role touches the file with each heartbeat that the database has taken. Loading torch and the models takes a while.
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s CMD ["sh", "-c", "test -n \"$(find \"$DICOM_NODE_HEARTBEAT_FILE\" -mmin -0.5)\""]
ENTRYPOINT ["dicom-node"]
CMD ["worker"]
