#!/usr/bin/env bash
# Builds the three functions for Lambda and packs each as target/lambda/{name}/bootstrap.zip.
#
#   ARCH=arm64|x86_64 ─▶ cargo lambda build ─▶ target/lambda/{name}/bootstrap ─▶ zip.py ─▶ bootstrap.zip
#
# The same source gives the same bytes, wherever it lies and whenever it is built: a
# deployment without a change changes nothing. Three things would spoil that, and are
# taken away: paths of this machine inside the binary (remapped), the time and mode of
# files inside the zip (fixed by zip.py, since cargo-lambda keeps the binary's own:
# https://github.com/cargo-lambda/cargo-lambda/pull/659), and cargo-lambda's own choice
# of optimisations, which would also turn panics into aborts (--disable-optimizations
# leaves the choice to [profile.release] in Cargo.toml).
set -euo pipefail
cd "$(dirname "$0")/../.."

arch="${ARCH:-arm64}"
case "$arch" in
  arm64)  target=aarch64-unknown-linux-gnu ;;
  x86_64) target=x86_64-unknown-linux-gnu ;;
  *) echo "ARCH is arm64 or x86_64, not $arch" >&2; exit 2 ;;
esac

if ! rustc --print target-libdir --target "$target" 2>/dev/null | xargs -r test -d; then
  if ! { command -v rustup >/dev/null && rustup target add "$target" >/dev/null 2>&1; }; then
    echo "SKIPPED: no package for $arch: Rust's standard library for $target is not installed" >&2
    echo "         and cannot be fetched. Try: rustup target add $target; or build for this" >&2
    echo "         machine: make package ARCH=x86_64" >&2
    exit 0
  fi
fi

tools="$PWD/.local/package/bin"
output="${CARGO_TARGET_DIR:-$PWD/target}"
functions=(receiver processor sweeper)

# Separated by 0x1f, so that a folder's name may hold a space.
separator=$'\x1f'
flags="--remap-path-prefix=$PWD=/webhook-inbox"
flags+="${separator}--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
flags+="${separator}--remap-path-prefix=$(rustc --print sysroot)=/rust"
export CARGO_ENCODED_RUSTFLAGS="$flags"
# The C and assembly in `ring` go through the C compiler, which has a switch of its own.
export CFLAGS="-ffile-prefix-map=$PWD=/webhook-inbox -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo"

packages=() binaries=()
for name in "${functions[@]}"; do packages+=(--package "inbox-$name") binaries+=(--bin "$name"); done
echo "… compiling ${functions[*]} for $arch (the first time takes several minutes)"
PATH="$tools:$PATH" cargo lambda build --release --locked --target "$target" \
  --disable-optimizations --quiet --lambda-dir "$output/lambda" "${packages[@]}" "${binaries[@]}"

for name in "${functions[@]}"; do
  "$tools/python" infra/package/zip.py "$output/lambda/$name/bootstrap" "$output/lambda/$name/bootstrap.zip"
done
(cd "$output/lambda" && sha256sum ./*/bootstrap.zip)
