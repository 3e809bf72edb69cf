# The service as a container: no compiler, no root, nothing written outside /data and /tmp.
#   docker build -t cinesent .
#   docker run --rm -v cinesent:/data cinesent serve keys add --role score --role feedback desk
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --tmpfs /tmp -v cinesent:/data cinesent
# Without keys it does not start. A folder of the host in place of the volume has to belong to user 10001.
ARG PYTHON=3.11-slim

FROM python:${PYTHON} AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE MANIFEST.in ./
COPY sentiment sentiment
COPY serve serve
COPY training training
RUN python -m venv /opt/cinesent \
    && /opt/cinesent/bin/pip install --no-cache-dir --no-compile -c constraints.txt ".[serve]"

FROM python:${PYTHON}
COPY --from=build /opt/cinesent /opt/cinesent
RUN groupadd --gid 10001 cinesent \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cinesent \
    && install -d -o cinesent -g cinesent /data
USER 10001:10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/cinesent/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CINESENT_HOST=0.0.0.0 \
    CINESENT_PORT=8000 \
    CINESENT_DATA_DIR=/data \
    CINESENT_KEYS=/data/keys.json
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['CINESENT_PORT'] + '/ready', timeout=4)"]
ENTRYPOINT ["cinesent"]
CMD ["serve"]
