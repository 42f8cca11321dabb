#!/bin/sh
# Makes the model folder from the head that lies here, without training: pack.sh WORK
set -eu
if [ $# -ne 1 ]; then
    sed -n '2s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
yamnet="$root/target/models-src/yamnet/checkpoint"
[ -f "$yamnet/model.onnx" ] || (cd "$root" && cargo xtask models yamnet)
cargo run --release --quiet --manifest-path "$root/Cargo.toml" --package ossicle-quantize -- "$yamnet" --head "$here" \
    --output "$1/sound-events" --force --notes "$here/card.md"
cp "$1/sound-events"/* "$here/.."
