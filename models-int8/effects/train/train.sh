#!/bin/sh
# Trains everything: train.sh DATA MINILM WORK [SHARE]. The codec learns for half of SHARE minutes, then the language model for SHARE minutes on
# one core while the codec's decoder learns on with the other. On two cores give 100; on a GPU 3 is enough to see whether all fits together.
# Each stage begins anew from what the one before wrote to WORK, so a stage that is done can be left out.
set -eu
data=$1 minilm=$2 work=$3 share=${4:-100}
here=$(dirname "$0")
mkdir -p "$work"
[ -e "$work/codec/model.safetensors" ] || python "$here/codec.py" "$data" "$work/codec" --minutes "$((share / 2 + 1))"
python "$here/lm.py" pool "$data" "$work/codec" "$work/pool" --seed 3 &
python "$here/lm.py" pool "$data" "$work/codec" "$work/pool" --seed 4
wait
python "$here/codec.py" "$data" "$work/codec-on" --resume "$work/codec" --decoder-only --minutes "$share" --threads 1 --seed 1 --rate 4e-3 &
python "$here/lm.py" train "$work/pool" "$minilm" "$work/lm" --minutes "$share" --threads 1
wait
