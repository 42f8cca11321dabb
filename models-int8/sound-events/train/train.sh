#!/bin/sh
# Makes models-int8/sound-events from nothing: train.sh WORK DATA
#
# WORK is a scratch folder of about 4 GB; DATA holds sound_events, noise, read_en, misc_en, multi, spontaneous_en and rir. Run again after an
# interruption, it goes on where it stopped. PYTHON names an interpreter with requirements.txt installed. SCENES and PASSES: how many scenes of 30 s
# for each three folds, and how often they are gone through. Seeds are fixed; torch's sums differ in their last bits from machine to machine.
set -eu
if [ $# -ne 2 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$1 data=$2 python=${PYTHON:-python3}
yamnet="$root/target/models-src/yamnet/checkpoint"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mkdir -p "$work"
keep() { "$python" "$here/features.py" "$data" "$yamnet/model.onnx" "$@"; }

[ -f "$yamnet/model.onnx" ] || (cd "$root" && cargo xtask models yamnet)
keep "$work" --clips
keep "$work/learn-123" --folds 1,2,3 --scenes "${SCENES:-400}" --seed 1
keep "$work/learn-4" --folds 4 --scenes "$((${SCENES:-400} / 3))" --seed 2
keep "$work/mixed-123" --folds 1,2,3 --scenes "$((${SCENES:-400} / 8))" --seed 5 --plain
keep "$work/without" --scenes 70 --seed 7 --without
keep "$work/check-without" --folds 4 --scenes 30 --seed 200 --without --held
keep "$work/check-4" --folds 4 --scenes 50 --seed 100 --plain --held
# First in large steps, then in small ones, with more of what is to be told apart.
learn() {
    out=$1
    shift
    [ -f "$work/$out-begun/head.safetensors" ] || "$python" "$here/train.py" "$yamnet" "$work/$out-begun" --train "$@" --passes "${PASSES:-12}"
    [ -f "$work/$out/head.safetensors" ] || "$python" "$here/train.py" "$yamnet" "$work/$out" --begin "$work/$out-begun" \
        --train "$@" "$work/mixed-123" "$work/without" --passes 5 --batch 4 --rate 1e-3 --noise 0.3 --dropout 0.1 $check
}
# What is learnt from folds 1 to 3 says how good it is, on fold 4, and which thresholds to take; what is shipped learns from all four.
check="--check $work/check-4 $work/check-without --clips $work/clips.npz --fold 4"
learn checked "$work/learn-123"
check=
learn head "$work/learn-123" "$work/learn-4"
"$python" "$here/thresholds.py" "$work/checked/checked.npz" >"$work/head/events.toml"
cp "$work/head/head.json" "$work/head/head.safetensors" "$work/head/events.toml" "$here/"
sh "$here/pack.sh" "$work"
