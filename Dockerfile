# Container image of the exporter: docker build -t openstack-image-exporter .
# Both stages have the same base, so that the virtual environment of the first runs in the second. The digest
# is that of all platforms (Python 3.13.16). `make base-image` replaces it by the newest of the tag. To choose
# another base, for example from a mirror:
#   docker build --build-arg BASE=mirror.example.com/library/python:3.13-slim -t openstack-image-exporter .
ARG BASE=python:3.13-slim@sha256:70729b46c69b4f1e97c4822c1af3df53a1476cf5ddc6c087c0c10bc3a5678c2f
FROM ${BASE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /src
RUN python -m venv /opt/build && python -m venv /opt/exporter

# Wheels only: no compiler is needed, and no setup script of a package runs. The packages come first
# because they change less often than the exporter.
COPY requirements.txt requirements-build.txt ./
RUN /opt/build/bin/pip install --quiet --require-hashes --only-binary=:all: -r requirements-build.txt \
    && /opt/exporter/bin/pip install --quiet --require-hashes --only-binary=:all: --no-compile \
        -r requirements.txt

COPY hatch_build.py pyproject.toml README.md LICENSE ./
COPY exporter exporter
# The git commit, for openstack_image_exporter_build_info.
ARG REVISION=unknown
RUN /opt/build/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir /opt/wheel . \
    && /opt/exporter/bin/pip install --quiet --no-deps --no-compile --no-index /opt/wheel/*.whl \
    && /opt/exporter/bin/pip uninstall --quiet --yes pip \
    # The OpenStack packages contain 16 MB of tests.
    && find /opt/exporter/lib -type d -name tests -prune -exec rm -r {} + \
    # Compile here, because the file system is read-only at run time. The hash makes the result
    # valid whatever the modification times are.
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/exporter/lib

FROM ${BASE}

ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=https://example.com/openstack-image-exporter
LABEL org.opencontainers.image.title="OpenStack image exporter" \
      org.opencontainers.image.description="Prometheus exporter that watches a configured list of OpenStack images" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="$BASE"

COPY --from=build /opt/exporter /opt/exporter
ENV PATH=/opt/exporter/bin:$PATH \
    # Libraries look for files below HOME; this user has no home directory.
    HOME=/nonexistent \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# A number, because Kubernetes cannot verify that a user given by name is not root.
USER 10001:10001
EXPOSE 10292
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s \
    CMD ["python", "-m", "exporter.healthcheck"]
ENTRYPOINT ["openstack-image-exporter"]
CMD ["run"]
