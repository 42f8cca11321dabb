#!/bin/sh
# Says how good the heads of train.sh are where they learned nothing: check.sh WORK DATA
#
# For each fold: the head in 8 bits with the rules that are shipped, then sed_eval on the fold's scenes and clips, false alarms in long_en, false events
# in recordings of other things, and what f32 would make of the same. PYTHON names an interpreter with requirements.txt installed.
set -eu
if [ $# -ne 2 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$1 data=$2 python=${PYTHON:-python3}
yamnet=${YAMNET:-"$root/target/models-src/yamnet/checkpoint"}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
cargo build --release --quiet --manifest-path "$root/Cargo.toml" --package ossicle --package ossicle-cli --package ossicle-quantize
long=$(find "$data/long_en/audio" -type f | sort | paste -sd,)
for fold in 1 2 3 4; do
    head="$work/tuned-without-$fold"
    echo "==> fold $fold"
    cp "$here/events.toml" "$head/"
    "$root/target/release/ossicle-quantize" "$yamnet" --head "$head" --output "$head/model" --force --notes "$here/card.md"
    of() { script=$1 && shift && "$python" "$root/tests/accuracy/$script" --ossicle "$root/target/release/ossicle" --options "--threads 1 --model $head/model" "$@"; }
    of events_scenes.py --alarms "long_en=$long" "$work/check-$fold"
    of events_scenes.py --fold $fold "$data/sound_events"
    "$python" "$root/tests/accuracy/surroundings.py" --model "$head/model" --fold $fold --data "$data"
    of events_head.py --yamnet "$yamnet" --head "$head" "$work/check-$fold"
    of events_head.py --yamnet "$yamnet" --head "$head" --every 3 "$data/sound_events"
done
