# replsync as an image: the command line, and nothing else that is started.
#   docker build --tag replsync .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" \
#     --volume "$HOME/.docker:/home/replsync/.docker:ro" replsync plan
# Another base, such as one of your own mirror: --build-arg BASE=registry.example.com/python:3.13-slim
ARG BASE=python:3.13-slim

FROM ${BASE} AS installed
WORKDIR /source
COPY requirements.txt .
RUN python -m venv /opt/replsync \
    && /opt/replsync/bin/pip install --disable-pip-version-check --no-cache-dir --require-hashes --requirement requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY replsync replsync
RUN /opt/replsync/bin/pip install --disable-pip-version-check --no-cache-dir --no-deps .

FROM ${BASE}
RUN useradd --create-home --uid 1000 replsync
COPY --from=installed /opt/replsync /opt/replsync
ENV HOME=/home/replsync PATH=/opt/replsync/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER replsync
WORKDIR /work
ENTRYPOINT ["replsync"]
CMD ["--help"]
