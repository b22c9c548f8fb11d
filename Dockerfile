# FaceReel in a container, as a user without rights:
#   docker build -t facereel .
#   docker run --rm -v "$PWD/faceindex:/data/faceindex" -v "$PWD:/videos:ro" facereel index /videos/movie.mp4
# docs/install.md says more.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/facereel
# The packages first: they are installed anew only when requirements.txt changes. `-e .` is FaceReel itself.
COPY requirements.txt ./
RUN grep -v '^-e' requirements.txt > packages.txt \
    && /opt/facereel/bin/pip install --no-cache-dir --requirement packages.txt
COPY . .
RUN /opt/facereel/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
# The user has number 1000, as the first user of most systems, so that mounted folders fit.
RUN useradd --create-home --uid 1000 facereel \
    && install --directory --owner=facereel --group=facereel /data /data/outputs \
    && install --directory --owner=facereel --group=facereel --mode=0700 /data/faceindex
COPY --from=build /opt/facereel /opt/facereel
ENV PATH="/opt/facereel/bin:$PATH"
# By number: some hosts cannot look up names of an image.
USER 1000
WORKDIR /data
# Unpacks the default engine's weights into the image, so that no container has to.
RUN facereel engines
VOLUME ["/data/faceindex", "/data/outputs"]
ENTRYPOINT ["facereel"]
CMD ["--help"]
