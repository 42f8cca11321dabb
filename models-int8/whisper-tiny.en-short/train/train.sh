#!/bin/sh
# Makes the short-window model from nothing: train.sh WORK DATA [LIBRISPEECH]
#
# WORK is a scratch folder of about 4 GB; DATA holds misc_en, spontaneous_en, multi, noise, rir and sound_events, and read_en, coffee and noise for the
# evaluation; LIBRISPEECH is any folder of LibriSpeech's flac files. Run again after an interruption, it goes on where it stopped. PYTHON names an
# interpreter with requirements.txt installed. CLIPS and STEPS: how many training clips and steps.
set -eu
if [ $# -lt 2 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$1 data=$2 python=${PYTHON:-python3}
mkdir -p "$work"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
quantize() { cargo run --release --quiet --manifest-path "$root/Cargo.toml" --package ossicle-quantize -- "$@"; }

if [ ! -d "$work/teacher-f32" ]; then
    (cd "$root" && cargo xtask models whisper-tiny.en)
    quantize "$root/target/models-src/whisper-tiny.en/checkpoint" --output "$work/teacher" --f32
    cp "$work/teacher/preprocessor_config.json" "$work/teacher-f32/"
fi
"$python" "$here/speak.py" "$work/spoken"
"$python" "$here/teach.py" "$work/teacher-f32" "$work/lessons" --data "$data" --spoken "$work/spoken" --count "${CLIPS:-832}" ${3:+--librispeech "$3"}
"$python" "$here/adapt.py" "$work/teacher-f32" "$work/lessons" "$work/run" --steps "${STEPS:-2200}"
quantize "$work/run/hf" --output "$work/whisper-tiny.en-short" --force --notes "$here/card.md"
cargo build --release --manifest-path "$root/Cargo.toml"
"$python" "$here/evaluate.py" "$work/whisper-tiny.en-short" --data "$data"
cp "$work/whisper-tiny.en-short"/* "$here/.."
