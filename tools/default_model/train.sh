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
# What a product looks like is learned with full weight, kinds and colours with
# little: on features that they may change as they like they push out what tells
# one product from another. models/README.md has the figures.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?DATA} init=${2:?INIT.onnx} folder=${3:?FOLDER}

mkdir -p "$folder"
build/tools/atelier/atelier "$folder/atelier" --items 6000 --colours 4 \
  --seed 101 --size 200
python3 tools/default_model/manifest.py "$data" "$folder/all.csv" \
  --drawings "$folder/atelier"
resume=()
[ -f "$folder/sosie-f32.onnx.checkpoint" ] && resume=(--resume)
build/sosie train "$folder/all.csv" --images / -o "$folder/sosie-f32.onnx" \
  --init "$init" --size 192 --labels class,kind,color,gender \
  --identity product --epochs 1.1 \
  --losses heads=0.05,identity=1,colour=0.05,histogram=0.25,teacher=0 \
  --cache "$folder" --report "$folder/training.html" "${resume[@]}"
build/sosie model quantize "$folder/sosie-f32.onnx" "$folder/all.csv" \
  --images / -o "$folder/sosie.onnx"
