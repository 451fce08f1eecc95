#!/bin/sh
# Puts libtorch where cargo finds it: the link `.libtorch` in the project root (see .cargo/config.toml).
#
# An installation of your own is honoured: LIBTORCH=/path/to/libtorch, or LIBTORCH_USE_PYTORCH=1 for the PyTorch
# of the active Python. Otherwise the PyPI wheel of the pinned version is fetched once into a cache that every
# clone shares (LATHE_LIBTORCH_CACHE, default ${XDG_CACHE_HOME:-~/.cache}/lathe).
#
# CUDA=1, or an NVIDIA driver on this machine, also unpacks the CUDA kernels and installs the CUDA libraries.
set -eu

TORCH=2.11.0
CPU_NEEDS="nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96"
PYTHON=${PYTHON:-python3}
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${LATHE_LIBTORCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lathe}

say() { echo "libtorch: $*" >&2; }
die() { say "$*"; exit 1; }

# Reports an installation whose version this build was not made for: its ABI differs.
check_version() {
    header=$1/include/torch/headeronly/version.h
    [ -f "$header" ] || header=$1/include/torch/csrc/api/include/torch/version.h
    [ -f "$header" ] || die "$1 has no include/torch/.../version.h; it is not a libtorch $TORCH with its headers"
    major=$(sed -n 's/^#define TORCH_VERSION_MAJOR *//p' "$header")
    minor=$(sed -n 's/^#define TORCH_VERSION_MINOR *//p' "$header")
    [ "$major.$minor" = "${TORCH%.*}" ] || die "$1 is libtorch $major.$minor, but this project is pinned to ${TORCH%.*}"
}

link() {
    # The link itself would then point to itself.
    [ "$(cd "$1" 2>/dev/null && pwd -P)" != "$(cd "$ROOT/.libtorch" 2>/dev/null && pwd -P)" ] || { check_version "$1"; return 0; }
    [ -f "$1/lib/libtorch_cpu.so" ] || die "no libtorch_cpu.so in $1/lib"
    check_version "$1"
    # `ln -sfn` only where it differs: cargo rebuilds torch-sys when the link's own time changes.
    [ "$(readlink "$ROOT/.libtorch" 2>/dev/null || true)" = "$1" ] || ln -sfn "$1" "$ROOT/.libtorch"
}

if [ -n "${LIBTORCH:-}" ]; then
    link "$LIBTORCH"
    exit 0
fi
if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
    link "$($PYTHON -c 'import os, torch; print(os.path.dirname(torch.__file__))')"
    exit 0
fi

if [ -n "${CUDA:-}" ] && [ "$CUDA" != 0 ]; then FLAVOUR=cuda
elif [ -z "${CUDA:-}" ] && command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then FLAVOUR=cuda
else FLAVOUR=cpu
fi

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) ARCH=x86_64 ;;
    Linux-aarch64) ARCH=aarch64 ;;
    *) die "no pinned wheel for $(uname -s) $(uname -m); install PyTorch $TORCH and set LIBTORCH_USE_PYTORCH=1" ;;
esac

DEST=$CACHE/libtorch-$TORCH-$FLAVOUR-$ARCH
if [ ! -f "$DEST/complete" ]; then
    command -v "$PYTHON" >/dev/null 2>&1 || die "$PYTHON is needed once, to fetch the wheel; install Python 3 with pip, or set LIBTORCH"
    "$PYTHON" -m pip --version >/dev/null 2>&1 || die "$PYTHON has no pip; install it, or set LIBTORCH"
    mkdir -p "$CACHE"
    WORK=$(mktemp -d "$CACHE/.fetch-XXXXXX")
    trap 'rm -rf "$WORK"' EXIT INT TERM
    # The wheel's C++ part is the same for every CPython: any tag will do, and pip needs no matching interpreter.
    PLATFORMS=
    for p in 2_39 2_35 2_34 2_31 2_28 2_27 2_25 2_24 2_18 2_17; do PLATFORMS="$PLATFORMS --platform manylinux_${p}_$ARCH"; done
    PLATFORMS="$PLATFORMS --platform manylinux2014_$ARCH --platform linux_$ARCH --platform any"
    PIP="$PYTHON -m pip --disable-pip-version-check"
    SELECT="--only-binary=:all: $PLATFORMS --python-version 3.12 --implementation cp"
    say "fetching torch $TORCH ($FLAVOUR, once; kept in $DEST)"
    # shellcheck disable=SC2086
    $PIP download -q --no-deps $SELECT -d "$WORK/wheels" "torch==$TORCH" || die "cannot fetch torch==$TORCH from PyPI"
    if [ "$FLAVOUR" = cuda ]; then
        # The wheel's own CUDA requirements, as its metadata states them.
        NEEDS=$("$PYTHON" - "$WORK"/wheels/torch-*.whl <<'PY'
import re, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
meta = z.read(next(n for n in z.namelist() if n.endswith(".dist-info/METADATA"))).decode()
for line in meta.splitlines():
    if line.startswith("Requires-Dist: ") and re.match(r"Requires-Dist: (nvidia|cuda)", line):
        print(line.split(";")[0].removeprefix("Requires-Dist: ").replace(" ", ""))
PY
)
        # shellcheck disable=SC2086
        $PIP download -q $SELECT -d "$WORK/wheels" $NEEDS || die "cannot fetch the CUDA libraries from PyPI"
    else
        # shellcheck disable=SC2086
        $PIP download -q --no-deps $SELECT -d "$WORK/wheels" $CPU_NEEDS || die "cannot fetch $CPU_NEEDS from PyPI"
    fi
    say "unpacking"
    "$PYTHON" - "$FLAVOUR" "$WORK" <<'PY'
import glob, os, sys, zipfile
flavour, work = sys.argv[1:]
for wheel in sorted(glob.glob(os.path.join(work, "wheels", "*.whl"))):
    z = zipfile.ZipFile(wheel)
    for name in z.namelist():
        keep = name.startswith(("torch/lib/", "torch/include/", "nvidia/")) and not name.endswith(".py")
        if flavour == "cpu":
            # 1 GB of GPU kernels that a machine without a driver cannot run.
            keep = keep and not any(s in os.path.basename(name) for s in ("_cuda", "nvshmem", "_python"))
            keep = keep or name.startswith("torch/include/")
        if keep:
            z.extract(name, os.path.join(work, "tree"))
PY
    touch "$WORK/tree/complete"
    # A second fetch that ran beside this one may have finished first: either result is whole.
    [ -f "$DEST/complete" ] || { rm -rf "$DEST"; mv "$WORK/tree" "$DEST"; }
    say "ready: $DEST"
fi
link "$DEST/torch"
