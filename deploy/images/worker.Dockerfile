# The worker: the node image with torch and monai. The wheel of torch contains its CUDA libraries; the driver comes from the
# host (NVIDIA container toolkit). Without a GPU the same image uses the CPU.
# Build from the root of the repository: docker build -f deploy/images/worker.Dockerfile .
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# Installed first and alone: the largest layer, and the one that changes least.
RUN pip install torch==2.13.0
COPY requirements /src/requirements
RUN pip install -r /src/requirements/worker.txt
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
RUN pip install --no-deps /src && chmod -R a+rX /opt/venv

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="dicom-node worker" org.opencontainers.image.licenses="Apache-2.0"
# Chinese and Japanese names in the PDF.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-droid-fallback && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin node && install -d -o node -g node -m 0750 /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DICOM_NODE_CONFIG=/etc/dicom-node/node.toml
USER 10001:10001
WORKDIR /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["dicom-node"]
CMD ["worker"]
