# Two stages: one installs what requirements.lock names, the other runs it without pip, root or shell scripts.
#
#   docker compose up -d                                              everything, migrations included
#   docker compose run --rm web flask --app wsgi db upgrade           migrations by hand
#   docker compose run --rm web flask --app wsgi keys generate        the server's signing keys, once

FROM python:3.12-slim AS builder
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
COPY requirements.lock /build/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /build/requirements.lock
COPY translations /build/translations
RUN pybabel compile --directory /build/translations
# A directory of its own in /srv for the files of the log; an empty one is not copied by every builder.
RUN install -D /dev/null /build/srv/log/.keep

FROM python:3.12-slim
# The source tree is the application: templates and migrations are not in a wheel.
WORKDIR /app
ENV PATH="/opt/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=builder /opt/venv /opt/venv
COPY wsgi.py ./
COPY dataspace dataspace
COPY consent consent
COPY migrations migrations
COPY templates templates
COPY static static
COPY demonstration demonstration
COPY verifier verifier
COPY --from=builder /build/translations translations
# A number, so that an orchestrator can see that it is not root; nothing below /app is writable for it.
# Where compose.yaml lets the worker publish the log of evidence: an empty volume takes the owner from here.
COPY --from=builder --chown=10001:10001 /build/srv /srv
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["granian", "--interface", "wsgi", "--factory", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "4", "--no-ws", "wsgi:create_app"]
