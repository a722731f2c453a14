# docker build -t jsac_ros .                          learns on the CPU
# docker build -t jsac_ros:cuda --build-arg JAX=cuda12 .   with JAX's CUDA plug-in; run it with --gpus all
# docker run --rm -it --network host --ipc host jsac_ros jsac-ros run ur5_reacher_demo
FROM ros:jazzy

# SHELL: with pipefail; `make setup` takes the ROS 2 that is sourced.
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential libegl1 libegl-mesa0 libgl1-mesa-dri python3-dev python3-venv \
        ros-jazzy-rosbag2-storage-mcap ros-jazzy-urdfdom-py \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/jsac_ros
COPY . .
RUN source /opt/ros/jazzy/setup.bash \
    && make setup \
    && ln -s /opt/jsac_ros/.venv/bin/jsac-ros /usr/local/bin/jsac-ros

# cpu, or an extra of JAX: cuda12
ARG JAX=cpu
RUN if [ "$JAX" != cpu ]; then \
      version=$(.venv/bin/python -c "import jax; print(jax.__version__)") \
      && .venv/bin/python -m pip install --no-cache-dir "jax[$JAX]==$version"; \
    fi

CMD ["jsac-ros", "--help"]
