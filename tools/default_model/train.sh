#!/usr/bin/env bash
# Trains the model that Sosie is to ship, and puts it into 8 bits. The recipe is
# a first one: nobody has run it to its end yet.
#
#   tools/default_model/train.sh DATA INIT.onnx FOLDER
#
# DATA: the folder with products/ and photos/ (manifest.py says what they are);
# INIT.onnx: the network to start from, and whose likenesses are kept; FOLDER:
# for the photos' pixels, checkpoints, the report and what comes out. It goes on
# from a checkpoint if there is one. At 160 pixels and more the shape aspect
# starts as good as the network that it comes from is; at 128 it does not.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?DATA} init=${2:?INIT.onnx} folder=${3:?FOLDER}

mkdir -p "$folder"
python3 tools/default_model/manifest.py "$data" "$folder/all.csv"
resume=()
[ -f "$folder/sosie-f32.onnx.checkpoint" ] && resume=(--resume)
build/sosie train "$folder/all.csv" --images "$data" \
  -o "$folder/sosie-f32.onnx" --init "$init" --teacher "$init" --size 192 \
  --labels class,kind,color,gender --variants \
  --epochs 5 --batch 128 --rate 0.0004 \
  --losses heads=0.5,identity=1,colour=0.5,histogram=5,teacher=10 \
  --cache "$folder" --report "$folder/training.html" "${resume[@]}"
build/sosie model quantize "$folder/sosie-f32.onnx" "$folder/all.csv" \
  --images "$data" -o "$folder/sosie.onnx"
