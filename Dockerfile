# `glyphline serve` alone, without TensorFlow: docs/use.md says how to build and run it.
FROM python:3.12-slim AS build
WORKDIR /build
COPY bootstrap.lock serve.lock ./
RUN python -m venv /venv \
    && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r bootstrap.lock \
    && uv pip install --no-cache --python /venv/bin/python --require-hashes --compile-bytecode -r serve.lock
COPY glyphline /venv/lib/python3.12/site-packages/glyphline
RUN python -m compileall -q /venv/lib/python3.12/site-packages/glyphline

FROM python:3.12-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["python", "-c", "import sys; from glyphline.cli import main; sys.exit(main())", "serve", "--host", "0.0.0.0"]
