#!/bin/sh
# Trains everything: train.sh DATA MINILM WORK [SHARE]. The codec learns for 3/8 of SHARE minutes, then the language model for SHARE minutes on one
# core. On two cores give 120; on a GPU 3 is enough to see whether all fits together.
# Each stage begins anew from what the one before wrote to WORK, so a stage that is done can be left out.
set -eu
data=$1 minilm=$2 work=$3 share=${4:-120}
here=$(dirname "$0")
mkdir -p "$work"
[ -e "$work/codec/model.safetensors" ] || python "$here/codec.py" "$data" "$work/codec" --minutes "$((share * 3 / 8))"
python "$here/lm.py" pool "$data" "$work/codec" "$work/pool" --windows 10000 --seed 3 &
pool=$!
python "$here/lm.py" pool "$data" "$work/codec" "$work/pool" --windows 10000 --seed 4
wait "$pool"
python "$here/lm.py" train "$work/pool" "$minilm" "$work/lm" --minutes "$share" --threads 1
