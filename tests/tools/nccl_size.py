"""The numbers of src/core/torch/bridge/dist/nccl_size.h, from two sources that must agree. To be run whenever the pinned libtorch changes:

    python3 -m venv target/torchrun && target/torchrun/bin/pip install torch==2.11.0    # 3 GB; `make dist-test` makes the same
    python3 tests/tools/nccl_size.py target/torchrun/lib/python3*/site-packages

1. The wheel's headers: ProcessGroupNCCL.hpp is compiled, and the compiler says sizeof, alignof and where the base class lies.
2. The wheel's code: what libtorch_cuda.so's destructors hand to the sized `operator delete`, and what libtorch_python.so hands to `operator new` before it
   calls each of the two constructors. The second library was compiled apart from the first, from the same headers.

Needs g++, objdump and nm. CUDA's own headers are partly in packages that torch does not ask for (nvidia-cuda-crt, nvidia-cuda-cccl, 3 MB): they are
fetched for the compiler alone. Ends with 1, and says what differs, unless all agree with the header.
"""
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HEADER = Path(__file__).parents[2] / "src/core/torch/bridge/dist/nccl_size.h"
GROUP = "c10d::ProcessGroupNCCL"
CONSTRUCTORS = {
    "OPTIONS": "_ZN4c10d16ProcessGroupNCCL7OptionsC1Eb",
    "GROUP": "_ZN4c10d16ProcessGroupNCCLC1EN3c1013intrusive_ptrINS_5StoreENS1_6detail34intrusive_target_default_null_typeIS3_EEEEiiNS2_INS0_"
    "7OptionsENS5_IS8_EEEE",
}
DESTRUCTORS = {"OPTIONS": "_ZN4c10d16ProcessGroupNCCL7OptionsD0Ev", "GROUP": "_ZN4c10d16ProcessGroupNCCLD0Ev"}
SOURCE = f"""
#define USE_C10D_NCCL 1
#define USE_DISTRIBUTED 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
using Group = {GROUP};
using Options = Group::Options;
extern "C" const long lathe_sizes[] = {{
  sizeof(Options), sizeof(Group), alignof(Options), alignof(Group),
  (long)static_cast<c10d::Backend::Options*>((Options*)4096), (long)static_cast<c10d::Backend*>((Group*)4096),
}};
"""


def lines(*command):
    """What a program prints, line by line."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as run:
        yield from run.stdout
    if run.returncode:
        sys.exit(f"{command[0]} failed")


def fetch(site, folder):
    """CUDA's headers that are not beside torch's, of the same CUDA."""
    runtime = next(site.glob("nvidia_cuda_runtime-*.dist-info"), None)
    if runtime is None:
        sys.exit(f"no nvidia_cuda_runtime in {site}: a CUDA build of torch is needed, installed with what it asks for")
    release = ".".join(runtime.name.split("-")[1].split(".")[:2])
    for name in ("nvidia-cuda-crt", "nvidia-cuda-cccl"):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{name}=={release}.*"]
        if subprocess.run(command).returncode:
            sys.exit(f"{name} cannot be fetched: the first source is missing")
    for wheel in Path(folder).glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)


def compiled(site):
    """Source 1."""
    with tempfile.TemporaryDirectory() as folder:
        fetch(site, folder)
        includes = [site / "torch/include", site / "torch/include/torch/csrc/api/include", *site.glob("nvidia/*/include")]
        includes += Path(folder).glob("nvidia/*/include")
        source, out = Path(folder, "size.cpp"), Path(folder, "size.s")
        source.write_text(SOURCE)
        subprocess.run(["g++", "-std=c++17", "-O0", "-S", "-w", *(f"-I{i}" for i in includes), source, "-o", out], check=True)
        text = out.read_text().split("lathe_sizes:", 1)[1]
    numbers = [int(n) for n in re.findall(r"\.quad\s+(\d+)", text)[:6]]
    if max(numbers[2:4]) > 16:
        sys.exit(f"the objects are aligned to {numbers[2:4]} bytes, and plain `operator new` to 16")
    if numbers[4:] != [4096, 4096]:
        sys.exit("a base class is not at the start of its object: the bridge's casts are wrong")
    return {"OPTIONS": numbers[0], "GROUP": numbers[1]}


def deleted(library):
    """Source 2, a: the last size before the sized `operator delete` in each deleting destructor."""
    found = {}
    wanted = {name: what for what, name in DESTRUCTORS.items()}
    for line in lines("nm", "-S", library):
        address, length, *_, name = line.split() if line.count(" ") == 3 else ("", "", "")
        if name.strip() in wanted:
            start, stop = int(address, 16), int(address, 16) + int(length, 16)
            code = "".join(lines("objdump", "-d", "--no-show-raw-insn", f"--start-address={start}", f"--stop-address={stop}", library))
            sizes = re.findall(r"mov +\$0x([0-9a-f]+),%esi(?:(?!\besi\b)[\s\S])*?(?:call|jmp) .*<_ZdlPvm", code)
            found[wanted[name.strip()]] = {int(size, 16) for size in sizes}
    return found


def allocated(library):
    """Source 2, b: the size of the last `operator new` in a function before it calls a constructor, for each call where the size stands beside it (a
    size that was put into its register before a jump is not looked for)."""
    found = {what: [] for what in CONSTRUCTORS}
    calls = {f"<{name}@plt>": what for what, name in CONSTRUCTORS.items()}
    argument = size = None
    for line in lines("objdump", "-d", "--no-show-raw-insn", "-j", ".text", library):
        if line.endswith(">:\n"):
            argument = size = None
        elif ",%edi\n" in line or ",%rdi\n" in line:
            constant = re.search(r"mov +\$0x([0-9a-f]+),%edi$", line)
            argument = int(constant[1], 16) if constant else None
        elif "call " in line:
            target = line.rsplit(" ", 1)[1].strip()
            if target.startswith("<_Znwm"):
                size = argument
            elif target in calls and size is not None:
                found[calls[target]].append(size)
            argument = None
    return found


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1], "torch/lib/libtorch_cuda.so").is_file():
        sys.exit("usage: nccl_size.py SITE_PACKAGES, with a CUDA build of torch in it, and what it asks for")
    site = Path(sys.argv[1]).resolve()
    version = re.search(r"__version__ = '(.*)'", Path(site, "torch/version.py").read_text())[1]
    written = {what: int(n) for what, n in re.findall(r"define LATHE_NCCL_(OPTIONS|GROUP)_SIZE (\d+)", HEADER.read_text())}
    headers, delete, new = compiled(site), deleted(site / "torch/lib/libtorch_cuda.so"), allocated(site / "torch/lib/libtorch_python.so")
    print(f"torch {version}")
    same = True
    for what, name in (("OPTIONS", f"{GROUP}::Options"), ("GROUP", GROUP)):
        print(f"{name}: {headers[what]} by the headers; {sorted(delete.get(what, []))} to operator delete in its destructor; "
              f"{sorted(set(new[what]))} to operator new before "
              f"{len(new[what])} calls of its constructor; {written[what]} in {HEADER.name}")
        same &= delete.get(what) == {headers[what]} == set(new[what]) == {written[what]}
    if not same:
        sys.exit("they differ")
    print("all agree")


if __name__ == "__main__":
    main()
