#!/usr/bin/env bash
# The curve over generations on real ALFWorld, from nothing to the table: what was run for
# docs/results/2026-11-22-alfworld-notes.md.
#
#   alfworld-curve.sh prepare DATA WORK     demonstrations, half of them with recalled notes in the prompt; adapter
#   alfworld-curve.sh arm WORK ARM SEED     one evolution: ARM is memory, weights or both
#   alfworld-curve.sh table WORK            what came of all arms and seeds, with intervals
#
# DATA is a folder in the ALFWORLD_DATA layout with all 3,553 train games. `lamarck` must be on the PATH.
set -euo pipefail

types='run.taskset.options.types=["look_at_obj_in_light","pick_and_place_simple"]'

# 120 train games of each type are shown, drawn by the hash of their names; an evolution sees the others only.
share() {
  local data=$1 work=$2 type game n to
  mkdir -p "$work"/{noted,plain,rest}/json_2.1.1/train
  ln -sfn "$data/json_2.1.1/valid_seen" "$work/rest/json_2.1.1/valid_seen"
  for type in look_at_obj_in_light pick_and_place_simple; do
    n=0
    (cd "$data/json_2.1.1/train" && ls "$type"-*/*/game.tw-pddl) | while read -r game; do
      echo "$(printf %s "$game" | sha256sum | cut -c1-16) $(dirname "$game")"
    done | sort | while read -r _ game; do
      n=$((n + 1)) to=rest
      ((n > 120)) || to=plain
      ((n > 60)) || to=noted
      mkdir -p "$work/$to/json_2.1.1/train/$(dirname "$game")"
      ln -sfn "$data/json_2.1.1/train/$game" "$work/$to/json_2.1.1/train/$game"
    done
  done
}

case ${1:-} in
  prepare)
    data=$(realpath "$2") work=$3
    share "$data" "$work"
    # The expert needs no notes; they are in the prompt so that the imitator learns to read past and through them.
    lamarck run -t alfworld --data "$work/noted" --split train -m expert --max-steps 30 --concurrency 1 \
      --memory "$work/notes" --set memory.recall.kinds='["episode"]' --out "$work/shown-noted" --quiet
    lamarck run -t alfworld --data "$work/plain" --split train -m expert --max-steps 30 --out "$work/shown-plain" --quiet
    lamarck train sft --store "$work/shown-noted" --store "$work/shown-plain" --epochs 1 --lr 1e-3 --batch 2 \
      --accumulate 2 --set optimizer.threads=1 --seed 0 --out "$work/taught"
    ;;
  arm)
    work=$2 arm=$3 seed=$4
    case $arm in
      memory) only=(--no-weights) ;;
      weights) only=(--no-memory) ;;
      both) only=() ;;
      *) echo "there is no arm $arm; there are memory, weights and both" >&2; exit 2 ;;
    esac
    # What an arm before has played alike is taken over: generation 0, and with the same memory its first train games.
    python - "$work" "$arm" "$seed" <<'PYTHON'
import sys
from pathlib import Path

from lamarck.cli.demo import ARMS, share
from lamarck.cli.evolving.home import Home

work, arm, seed = sys.argv[1:]
for first in ARMS:
    if first != arm and Home(Path(work, f"{first}-{seed}")).exists():
        one, other = (Home(Path(work, f"{name}-{seed}")) for name in (first, arm))
        share(one, other, played=ARMS[first][0] == ARMS[arm][0])
PYTHON
    lamarck evolve -t alfworld --data "$work/rest" --split train --held-out valid_seen --held-out-limit 24 \
      --set held_out.chunk=24 --set "$types" -m embedded --adapter "$work/taught/adapter" --max-steps 15 -g 2 \
      --tasks 16 --seed "$seed" --set propose.seed="$seed" --set train.seed="$seed" --grow latest --set learn.least=2 \
      --set learn.temperature=0.3 --set run.model.temperature=0.3 --set run.memory.recall.kinds='["episode"]' \
      --set train.optimizer.learning_rate=1e-4 --set train.optimizer.epochs=2 --set train.optimizer.batch=2 \
      --set train.optimizer.accumulate=1 --set run.model.threads=1 --set train.optimizer.threads=1 "${only[@]}" --out "$work/$arm-$seed" --json
    ;;
  table)
    python - "$2" <<'PYTHON'
import random
import sys
from pathlib import Path

from lamarck.cli.evolving.home import Home
from lamarck.evals.figures.played import Played
from lamarck.rundir import RunDirectory


def held_out(home, release):
    """Whether each held-out game was solved by a release."""
    runs = sorted(home.evaluation(release, "").glob("held-out-*"))
    samples = [one for run in runs for one in Played.read(RunDirectory(run)).samples]
    return {one.task_id: float(one.last.success) for one in samples if one.last is not None}


def interval(pairs, tries=10_000):
    """Mean difference in points over all seeds, and its 95 % interval by resampling games."""
    games = sorted({game for one, _ in pairs for game in one})
    by_game = [[other[game] - one[game] for one, other in pairs if game in other] for game in games]
    draw = random.Random(0)
    means = sorted(_mean([draw.choice(by_game) for _ in by_game]) for _ in range(tries))
    return 100 * _mean(by_game), 100 * means[int(0.025 * tries)], 100 * means[int(0.975 * tries)]


def _mean(groups):
    flat = [value for group in groups for value in group]
    return sum(flat) / len(flat)


for arm in ("memory", "weights", "both"):
    homes = [Home(path) for path in sorted(Path(sys.argv[1]).glob(f"{arm}-[0-9]*")) if Home(path).kept()]
    first = [held_out(home, home.kept()[0].parent) for home in homes]
    print(arm, "generation 0:", [f"{int(sum(one.values()))}/{len(one)}" for one in first])
    for number in (1, 2):
        pairs, said = [], []
        for home, before in zip(homes, first, strict=True):
            for one in home.kept():
                if one.number == number and one.candidate is not None:
                    after = held_out(home, one.candidate)
                    pairs.append((before, after))
                    play = f"{one.played['solved']}/{one.played['attempts']}" if one.played else "?"
                    said.append(f"{int(sum(after.values()))}/{len(after)} {one.decision} (in play {play})")
        if pairs:
            mean, low, high = interval(pairs)
            print(f"  generation {number}: {said}: {mean:+.1f} [{low:+.1f}, {high:+.1f}] points")
PYTHON
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
