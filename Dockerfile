# socketd in an image: the wheels of `make dist` are in dist/, then
#     docker build -t socketd .
# docs/install.md has how to run it. It works as any user, with a root that is read only.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
COPY dist/*.whl /wheels/
# The image is of glibc; of its wheels there is one for each processor. Compiled here, since nothing
# can be written later.
RUN python -m venv --without-pip /opt/socketd \
    && wheel="$(echo /wheels/socketd-*-manylinux_*_"$(uname -m)".whl)" \
    && pip --python /opt/socketd/bin/python install --no-cache-dir "$wheel[metrics]" \
    && /opt/socketd/bin/socketd --version

FROM python:${PYTHON}-slim
COPY --from=build /opt/socketd /opt/socketd
# The control socket, by which the health is asked, is in the one folder that every runtime leaves
# writable, also with --read-only.
ENV PATH=/opt/socketd/bin:$PATH RUNTIME_DIRECTORY=/dev/shm PYTHONDONTWRITEBYTECODE=1
# Nobody's and everybody's: no file belongs to it, and another may be given with --user.
USER 65532:65532
WORKDIR /
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["socketd", "status", "--check", "/etc/socketd.toml"]
# The process with number 1 is socketd itself: it takes its signals, and reaps what programs leave.
ENTRYPOINT ["socketd"]
CMD ["run", "/etc/socketd.toml"]
