#!/usr/bin/env bash
# Makes models/sosie.onnx: trains it, and puts it into 8 bits.
#
#   tools/default_model/train.sh DATA INIT.onnx FOLDER
#
# DATA: the folder with products/ and photos/ (manifest.py says what they are);
# INIT.onnx: MobileNetV2 as ImageNet left it; FOLDER: for the drawings, the
# photos' pixels, checkpoints, the report and what comes out. It goes on from a
# checkpoint if there is one.
#
# First the features learn what tells one product from another, kinds and colours
# having little weight, since what is read from features that are not made for
# products would change them for the worse. Then all of it is learned with full
# weight, from batches of any kind, as heads need them; then mostly products again, from
# batches of like ones, as these need them; last kinds and colours alone, from features
# that stay, with a shape that is whitened.
# models/README.md has the figures, and how the network at hand was made.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?DATA} init=${2:?INIT.onnx} folder=${3:?FOLDER}

train() { # NAME, options
  local out=$folder/$1.onnx resume=()
  shift
  [ -f "$out.checkpoint" ] && resume=(--resume)
  build/sosie train "$folder/all.csv" --images / -o "$out" --cache "$folder" \
    --labels class,kind,color,gender --identity product "$@" "${resume[@]}"
}

mkdir -p "$folder"
build/tools/atelier/atelier "$folder/atelier" --items 6000 --colours 4 \
  --seed 101 --size 200
python3 tools/default_model/manifest.py "$data" "$folder/all.csv" \
  --drawings "$folder/atelier"
train features --init "$init" --size 192 --epochs 1.1 --rate 5e-5 \
  --losses heads=0.05,identity=1,colour=0.05,histogram=0.25,teacher=0
train whole --init "$folder/features.onnx" --epochs 3.5 \
  --losses heads=0.7,identity=1,colour=0.1,histogram=0.1,teacher=0
train apart --init "$folder/whole.onnx" --epochs 1 \
  --losses heads=0.4,identity=1,colour=0.1,histogram=0.1,teacher=0
train sosie-f32 --init "$folder/apart.onnx" --freeze --epochs 1.5 --batch 64 \
  --report "$folder/training.html"
build/sosie model quantize "$folder/sosie-f32.onnx" "$folder/all.csv" \
  --images / -o "$folder/sosie.onnx"
