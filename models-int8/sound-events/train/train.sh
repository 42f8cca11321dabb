#!/bin/sh
# Makes models-int8/sound-events from nothing: train.sh WORK DATA
#
# WORK is a scratch folder of about 15 GB; DATA holds sound_events, free_sounds, noise, read_en, misc_en, multi, spontaneous_en, rir and wild, from
# which nothing is learned. Run again after an interruption, it goes on where it stopped. PYTHON names an interpreter with requirements.txt installed.
# SCENES and PASSES: how many scenes of 30 s of each kind for each fold, and how often they are gone through. Seeds are fixed; torch's sums differ in
# their last bits from machine to machine.
#
# First a head learns the ten sounds, then it goes on learning from scenes with sounds that are none of them.
set -eu
if [ $# -ne 2 ]; then
    sed -n '2,9s/^# \?//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$1 data=$2 python=${PYTHON:-python3}
yamnet="$root/target/models-src/yamnet/checkpoint"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# Buffers of each step are not to be given back to the system and zeroed again: that takes longer than the sums.
export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456
mkdir -p "$work"
keep() { "$python" "$here/features.py" "$data" "$yamnet/model.onnx" "$@"; }

[ -f "$yamnet/model.onnx" ] || (cd "$root" && cargo xtask models yamnet)
keep "$work" --clips
scenes=${SCENES:-130}
# more-...: the same again with other seeds.
for fold in 1 2 3 4; do
    keep "$work/varied-$fold" --folds $fold --scenes "$scenes" --seed 1$fold
    keep "$work/plain-$fold" --folds $fold --scenes "$scenes" --seed 5$fold --plain
    keep "$work/rows-$fold" --folds $fold --scenes "$((scenes * 5 / 13))" --seed 6$fold --rows
    keep "$work/wide-varied-$fold" --folds $fold --scenes "$scenes" --seed 2$fold --wide
    keep "$work/wide-plain-$fold" --folds $fold --scenes "$((scenes * 15 / 13))" --seed 7$fold --plain --wide
    keep "$work/wide-rows-$fold" --folds $fold --scenes "$((scenes * 6 / 13))" --seed 4$fold --rows --wide
    keep "$work/more-varied-$fold" --folds $fold --scenes "$scenes" --seed 8$fold --wide
    keep "$work/more-plain-$fold" --folds $fold --scenes "$((scenes * 15 / 13))" --seed 9$fold --plain --wide
    # For the second training: what is none of the ten, and scenes with such sounds in them.
    keep "$work/surroundings-$fold" --folds $fold --scenes "$((scenes * 9 / 13))" --seed 11$fold --surroundings
    keep "$work/free-plain-$fold" --folds $fold --scenes "$((scenes * 4 / 13))" --seed 7$fold --plain --wide --free
    keep "$work/free-varied-$fold" --folds $fold --scenes "$((scenes * 3 / 13))" --seed 2$fold --wide --free
    keep "$work/free-rows-$fold" --folds $fold --scenes "$((scenes / 13))" --seed 4$fold --rows --wide --free
    keep "$work/check-$fold" --folds $fold --scenes 50 --seed 10$fold --plain --held --keep
done
keep "$work/recordings" --scenes "$scenes" --seed 31 --recordings
keep "$work/more-recordings" --scenes "$((scenes * 15 / 13))" --seed 33 --recordings
keep "$work/free-recordings" --scenes "$((scenes * 4 / 13))" --seed 31 --recordings --free
keep "$work/check-recordings" --scenes 60 --seed 32 --recordings --held
keep "$work/check-reading" --scenes 54 --reading
learn() {
    out=$1
    shift
    [ -f "$work/$out/head.safetensors" ] || "$python" "$here/train.py" "$yamnet" "$work/$out" --clips "$work/clips.npz" --passes "${PASSES:-8}" "$@"
}
# Scenes of all folds but one.
others() {
    for kind in varied plain rows wide-varied wide-plain wide-rows more-varied more-plain; do
        for other in 1 2 3 4; do
            [ $other = "$1" ] || echo "$work/$kind-$other"
        done
    done
}
# Heads that learn from three folds say how good they are on the fourth, and which thresholds to take; the one that is shipped learns from all.
# Scenes with the running tap are for that one alone: it is rain to heads that do not know it, and no rules can tell.
for fold in 1 2 3 4; do
    # shellcheck disable=SC2046
    learn without-$fold --train $(others $fold) "$work/recordings" "$work/more-recordings" --fold $fold \
        --check "$work/check-$fold" "$work/check-recordings" "$work/check-reading"
done
# shellcheck disable=SC2046
learn head --train $(others none) "$work"/check-? "$work"/check-?-tap "$work/recordings" "$work/more-recordings" \
    "$work/check-recordings" "$work/check-recordings-tap" "$work/check-reading"
# Again with sounds of all kinds, of other folds than the one that is heard.
tune() {
    from=$1 fold=$2 tuned= others=
    shift 2
    for other in 1 2 3 4; do
        [ $other = "$fold" ] || tuned="$tuned $work/free-plain-$other $work/free-varied-$other $work/free-rows-$other"
        [ $other = "$fold" ] || others="$others $work/surroundings-$other"
    done
    # shellcheck disable=SC2086
    PASSES=4 learn "tuned-$from" --base "$work/$from/head.safetensors" --train $tuned "$@" --others $others \
        --share 0.8 --rate 5e-4 --decay 0.02 --units 0.15 --dropout 0.2
}
for fold in 1 2 3 4; do
    tune without-$fold $fold --fold $fold --check "$work/check-$fold" "$work/check-recordings" "$work/check-reading"
done
tune head none "$work/free-recordings" "$work"/check-? "$work/check-recordings" "$work/check-reading"
# Rules are chosen by hand, from what these say; events.toml here stays as it is.
"$python" "$here/thresholds.py" "$work"/tuned-without-?/checked.npz >"$work/tuned-head/events.toml"
keep "$work/wild" --whole wild
keep "$work/free" --whole free_sounds
# shellcheck disable=SC2046
"$python" "$here/rules.py" "$yamnet" "$work" "$data" "$work/tuned-head/head.safetensors" \
    $(for fold in 1 2 3 4; do echo "$fold=$work/tuned-without-$fold/head.safetensors"; done) >"$work/tuned-head/rules.txt"
cp "$work/tuned-head/head.json" "$work/tuned-head/head.safetensors" "$here/"
sh "$here/pack.sh" "$work"
