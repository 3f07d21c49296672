# Every role except the worker: listen, conduct, relay, send, console, and `db upgrade`, which runs once.
# Build from the root of the repository: docker build -f deploy/images/node.Dockerfile .
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements /src/requirements
RUN pip install -r /src/requirements/node.txt
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
LABEL org.opencontainers.image.title="dicom-node" org.opencontainers.image.licenses="Apache-2.0"
# A new named volume takes owner and mode from these folders.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin node && install -d -o node -g node -m 0750 /data /uploads /viewer-cache
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    DICOM_NODE_CONFIG=/etc/dicom-node/node.toml
USER 10001:10001
WORKDIR /data
EXPOSE 11112
STOPSIGNAL SIGTERM
ENTRYPOINT ["dicom-node"]
CMD ["--help"]
