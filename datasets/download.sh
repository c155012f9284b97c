#!/usr/bin/env bash
# Fetches a public data set by its name in catalog.toml.
#
#   download.sh --list
#   download.sh NAME [DIR]        default DIR: ./NAME
#
# P2P_CATALOG names another catalogue.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
catalog=${P2P_CATALOG:-$here/catalog.toml}

# field NAME KEY: the value of a key of a data set, empty when it has none.
field() {
  awk -v want="$1" -v key="$2" '
    /^\[\[dataset\]\]/ { name = "" }
    match($0, /^[a-z0-9_]+ = "/) {
      k = $1
      value = substr($0, RLENGTH + 1)
      sub(/"[[:space:]]*$/, "", value)
      if (k == "name") name = value
      if (name == want && k == key) { print value; exit }
    }' "$catalog"
}

names() { awk -F'"' '/^name = / { print $2 }' "$catalog"; }

case ${1:-} in
  '' | -h | --help)
    echo "usage: download.sh --list | download.sh NAME [DIR]"
    exit 2
    ;;
  --list)
    for name in $(names); do
      if [ -n "$(field "$name" archive)" ]; then how=fetched; else how="at its address"; fi
      printf '%-26s %-16s %s\n' "$name" "$how" "$(field "$name" task)"
    done
    exit 0
    ;;
esac

name=$1
target=${2:-$name}
# A slash at the end would put the temporary names inside the folder.
while [[ $target == ?*/ ]]; do target=${target%/}; done
if ! names | grep -qxF -- "$name"; then
  echo "download.sh: no data set is named $name; download.sh --list shows all" >&2
  exit 2
fi
archive=$(field "$name" archive)
if [ -z "$archive" ]; then
  echo "$name is not to be had without asking: $(field "$name" home)" >&2
  echo "how to arrange it: $(field "$name" notes)" >&2
  exit 2
fi
if [ -e "$target" ]; then
  echo "download.sh: $target is there already" >&2
  exit 1
fi

mkdir -p "$(dirname "$target")"
file=$target.download
if command -v curl >/dev/null; then
  curl --fail --location --retry 3 --continue-at - --output "$file" "$archive"
elif command -v wget >/dev/null; then
  wget --tries=3 --continue --output-document="$file" "$archive"
else
  echo "download.sh: needs curl or wget" >&2
  exit 1
fi

expected=$(field "$name" sha256)
found=$(sha256sum "$file" | cut -d' ' -f1)
if [ -z "$expected" ]; then
  echo "sha256 $found (the publisher gives none to compare with)"
elif [ "$expected" != "$found" ]; then
  echo "download.sh: $file has sha256 $found, expected $expected; removed" >&2
  rm -f "$file"
  exit 1
fi

unpacked=$target.unpacking
rm -rf "$unpacked"
mkdir "$unpacked"
unpack() {
  case $archive in
    *.zip) unzip -q "$file" -d "$unpacked" ;;
    *) tar -xf "$file" -C "$unpacked" ;;
  esac
}
if ! unpack; then
  # Kept, a damaged file would be taken for a complete one next time.
  rm -rf "$unpacked" "$file"
  echo "download.sh: $archive cannot be unpacked; what was fetched is removed" >&2
  exit 1
fi
# An archive that holds one folder becomes that folder, unless its name says which split or half it is.
inner=$(find "$unpacked" -mindepth 1 -maxdepth 1)
wrapped=no
if [ "$(printf '%s\n' "$inner" | wc -l)" -eq 1 ] && [ -d "$inner" ]; then
  case ${inner##*/} in
    train* | val* | test* | A | B | gtFine | leftImg8bit) ;;
    *) wrapped=yes ;;
  esac
fi
if [ "$wrapped" = yes ]; then
  mv "$inner" "$target"
  rmdir "$unpacked"
else
  mv "$unpacked" "$target"
fi
rm -f "$file"
echo "$target is ready: p2p check --pairs $target"
