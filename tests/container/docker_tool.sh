#!/usr/bin/env bash
# How the tests of the image build and run it, with Docker; IMAGE_TOOL names another program with these arguments.
#
#   docker_tool.sh CONTEXT TAG [BUILD_ARG=VALUE ...]    build
#   docker_tool.sh --run-read-only TAG COMMAND [ARG ...]  run as the image's user, only /tmp writable
set -euo pipefail
if [ "$1" = --run-read-only ]; then
  exec docker run --rm --read-only --tmpfs /tmp:mode=1777 --cap-drop ALL --network none --entrypoint "" "${@:2}"
fi
context=$1 tag=$2
arguments=()
for argument in "${@:3}"; do arguments+=(--build-arg "$argument"); done
exec docker build --tag "$tag" "${arguments[@]}" "$context"
