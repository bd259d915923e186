#!/usr/bin/env bash
# Builds the image and trains in a container of it, on this host's GPU, or with each batch divided over all of them.
#
#   launchers/docker.sh CONFIG [key=value ...]       e.g. launchers/docker.sh configs/lunarlander.toml seed=2
#
# The run lands in ./runs, as with `tfdqn train`, and belongs to you; Ctrl-C saves, and the same command resumes. What the
# driver compiles for the GPUs when it is first used is kept in ./runs/.cuda, for all containers after.
# Variables change the rest:
#   GPUS=none     train on the CPUs, in an image without CUDA, with CONFIG's learner.strategy
#   RUNS=DIR      where runs go, instead of ./runs
#   IMAGE=NAME    use this image and build none
#   NETWORK=NAME  the container's network (as for `docker run`); by default it has none
#   SHM_SIZE=4g   shared memory, which NCCL and environments in processes use; 1g by default
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, and print where

fail() { echo "docker.sh: $1" >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

[ $# -ge 1 ] || fail "which configuration? launchers/docker.sh CONFIG [key=value ...]"
config=$1; shift
[ -f "$config" ] || fail "there is no configuration $config"
gpus=${GPUS:-all}
case $gpus in all|none) ;; *) fail "GPUS is 'all' or 'none', not '$gpus'" ;; esac

has docker || fail "there is no docker command: install Docker Engine"
if ! answer=$(docker version --format '{{.Server.Version}}' 2>&1); then
  case $answer in
  *"permission denied"*) fail "you may not use Docker here: ask to be put in the group docker (usermod -aG docker $(id -un))" ;;
  *) fail "Docker's engine does not answer: ${answer##*$'\n'}" ;;
  esac
fi
if [ "$gpus" = all ]; then
  has nvidia-smi || fail "there is no nvidia-smi: install NVIDIA's driver, or say GPUS=none"
  listed=$(nvidia-smi --list-gpus 2>&1) || fail "NVIDIA's driver does not answer: ${listed##*$'\n'}"
  case $listed in GPU*) ;; *) fail "NVIDIA's driver finds no GPU: ${listed:-it lists none}" ;; esac
  case $(docker info --format '{{json .Runtimes}}' 2>/dev/null) in *nvidia*) ;; *)
    has nvidia-container-runtime-hook || has nvidia-ctk ||
      fail "Docker can't hand GPUs on: install NVIDIA's Container Toolkit" ;;
  esac
fi

runs=${RUNS:-runs}
case $PWD$runs$config in *[:,]*) fail "Docker mounts no path with a colon or a comma: $runs, $config in $PWD" ;; esac
mkdir -p "$runs" 2>/dev/null || fail "$runs can't be made: RUNS is a folder for runs" # Docker would make it root's
runs=$(cd "$runs" && pwd)
[ -w "$runs" ] || fail "$runs can't be written to"
config=$(cd "$(dirname "$config")" && pwd)/$(basename "$config")
inside=configs/$(basename "$config")

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = //p' "$root/setup.cfg")
extras=; image=tfdqn:$version
[ "$gpus" = none ] || { extras=cuda; image=$image-cuda; }
if [ -n "${IMAGE:-}" ]; then
  image=$IMAGE
else
  revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || true)
  [ -z "$revision" ] || [ -z "$(git -C "$root" status --porcelain --untracked-files=no)" ] || revision+=+changes
  docker build --tag "$image" --build-arg EXTRAS="$extras" --build-arg VERSION="$version" \
    --build-arg REVISION="$revision" "$root"
fi

options=(--rm --read-only --tmpfs /tmp:mode=1777 --cap-drop ALL --security-opt no-new-privileges)
options+=(--user "$(id -u):$(id -g)" --network "${NETWORK:-none}" --shm-size "${SHM_SIZE:-1g}" --stop-timeout 120)
options+=(--volume "$runs:/workspace/runs" --volume "$config:/workspace/$inside:ro")
arguments=(train "$inside")
if [ "$gpus" = all ]; then
  count=$(grep -c ^GPU <<<"$listed")
  case $listed in *"(UUID: MIG-"*) count=1 ;; esac # of instances CUDA gives a process one
  strategy=local
  [ "$count" = 1 ] || strategy=mirrored
  options+=(--gpus all --ulimit memlock=-1 --env CUDA_CACHE_PATH=/workspace/runs/.cuda)
  for key in learner.strategy="$strategy" learner.logical_devices=0 learner.min_gpus="$count"; do
    case " $*" in *" ${key%%=*}="*) ;; *) arguments+=("$key") ;; esac # unless it is given
  done
fi
[ ! -t 0 ] || [ ! -t 1 ] || options+=(--interactive --tty)
exec docker run "${options[@]}" "$image" "${arguments[@]}" "$@"
