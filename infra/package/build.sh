#!/usr/bin/env bash
# Builds the three functions for Lambda: ARCH=arm64|x86_64 build.sh FOLDER
#
#   cargo lambda build ─▶ target/lambda/{name}/bootstrap ─▶ zip.py ─▶ FOLDER/{name}.zip
#
# The same source gives the same bytes, wherever it lies and whenever it is built, so
# that a deployment without a change changes nothing. Three things would spoil that:
# - paths of this machine inside the binary: they are remapped, and looked for after;
# - time and mode of the file inside the zip, which cargo-lambda takes from the binary
#   (https://github.com/cargo-lambda/cargo-lambda/pull/659): zip.py fixes them;
# - cargo-lambda's own choice of optimisations, such as the processor's model and
#   `panic=abort`: --disable-optimizations leaves it to [profile.release] in Cargo.toml.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages="${1:?usage: ARCH=arm64|x86_64 build.sh FOLDER}"

arch="${ARCH:-arm64}"
case "$arch" in
  arm64)  target=aarch64-unknown-linux-gnu ;;
  x86_64) target=x86_64-unknown-linux-gnu ;;
  *) echo "ARCH is arm64 or x86_64, not $arch" >&2; exit 2 ;;
esac

has_target() { local folder; folder="$(rustc --print target-libdir --target "$target")" && [ -d "$folder" ]; }
if ! has_target; then
  if ! { command -v rustup >/dev/null && rustup target add "$target" >/dev/null 2>&1 && has_target; }; then
    echo "SKIPPED: no package for $arch: Rust's standard library for $target is not installed" >&2
    echo "and cannot be fetched. Try \`rustup target add $target\`, or another ARCH=." >&2
    exit 0
  fi
fi

tools="$PWD/.local/package-tools/bin"
output="${CARGO_TARGET_DIR:-$PWD/target}"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
functions=(receiver processor sweeper)

# Separated by 0x1f, so that a folder's name may hold a space.
separator=$'\x1f'
flags="--remap-path-prefix=$PWD=/webhook-inbox"
flags+="${separator}--remap-path-prefix=$cargo_home=/cargo"
flags+="${separator}--remap-path-prefix=$(rustc --print sysroot)=/rust"
export CARGO_ENCODED_RUSTFLAGS="$flags"

arguments=()
for name in "${functions[@]}"; do arguments+=(--package "inbox-$name" --bin "$name"); done
echo "… compiling ${functions[*]} for $arch (the first time takes several minutes)"
PATH="$tools:$PATH" cargo lambda build --release --locked --target "$target" \
  --disable-optimizations --quiet --lambda-dir "$output/lambda/$arch" "${arguments[@]}"

mkdir -p "$packages"
for name in "${functions[@]}"; do
  binary="$output/lambda/$arch/$name/bootstrap"
  for path in "$PWD" "$cargo_home" "$HOME/.rustup"; do
    if LC_ALL=C grep -aqF "$path/" "$binary"; then
      echo "$binary holds paths of this machine ($path): another would build other bytes" >&2
      exit 1
    fi
  done
  "$tools/python" infra/package/zip.py "$binary" "$packages/$name.zip"
done
(cd "$packages" && sha256sum -- *.zip)
