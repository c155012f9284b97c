#!/usr/bin/env bash
# The kernels' tests on their portable path under Miri, which finds undefined behaviour.
#
#   scripts/miri.sh [FILTER...]     default: products of matrices, vectors, tangent: some minutes; whole convolutions take hours
#
# Needs a nightly toolchain with the components miri and rust-src.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- kernels::convolve::tests::products kernels::lanes kernels::tanh
# rayon's threads are never joined, and its queues are not made for the stricter model of borrows.
export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-ignore-leaks -Zmiri-disable-isolation" RAYON_NUM_THREADS=2
cargo +nightly miri test --locked --target-dir target/miri -p pix2pix-core --lib -- "$@"
