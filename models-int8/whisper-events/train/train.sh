#!/bin/sh
# Makes models-int8/whisper-events from nothing: train.sh WORK DATA
#
# WORK is a scratch folder of about 1 GB; DATA holds sound_events, noise, read_en, misc_en, multi, spontaneous_en and rir. Run again after an
# interruption, it goes on where it stopped. PYTHON names an interpreter with requirements.txt installed. Learns from folds 1 to 3; fold 4 says how
# good it is and chooses the rules. Seeds are fixed; torch's sums differ in their last bits from machine to machine.
set -eu
if [ $# -ne 2 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$1 data=$2 python=${PYTHON:-python3}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OSSICLE_MODELS="$root/models-int8"
mkdir -p "$work"
cargo build --release --quiet --manifest-path "$root/Cargo.toml" --package ossicle-tests --example encoder_layers
keep() { "$python" "$here/features.py" "$root/target/release/examples/encoder_layers" "$data" "$@"; }

[ -f "$work/clips/whisper-tiny.en.npz" ] || keep "$work/clips" --clips
keep "$work/check-4" --folds 4 --scenes 50 --seed 100 --plain --held --keep
keep "$work/learn-123" --folds 1,2,3 --scenes 240 --seed 1
keep "$work/without" --scenes 48 --seed 7 --without
keep "$work/check-without" --folds 4 --scenes 24 --seed 200 --without --held
"$python" "$here/train.py" "$work/head" --train "$work/learn-123" "$work/without" --check "$work/check-4" "$work/check-without" \
    --clips "$work/clips"/*.npz --fold 4
"$python" "$here/../../sound-events/train/thresholds.py" "$work/head/checked.npz" >"$work/head/events.toml"
cp "$work/head/head.safetensors" "$work/head/events.toml" "$here/"
"$python" "$here/pack.py"
