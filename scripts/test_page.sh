#!/usr/bin/env bash
# Tests the page of maps in a real browser, over HTTP and from a file. Needs node, npm and Debian's chromium; installs playwright-core
# beside the tests, below target.
#
#   scripts/test_page.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PAGE_DIR=$PWD/pix2pix-cli/page
CHROMIUM=${CHROMIUM:-$(command -v chromium || true)}
[ -n "$CHROMIUM" ] || { echo "there is no chromium; apt-get install chromium" >&2; exit 1; }
export PAGE_DIR CHROMIUM
mkdir -p target/page
cp tests/page/* target/page/
cd target/page
[ -d node_modules/playwright-core ] || npm install --silent --no-audit --no-fund
node page.test.mjs
