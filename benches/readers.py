"""The readers of PyPI's webdataset and datasets beside Lathe's: pictures a second, decoded and cropped to 256 as ADM does, by two processes.

Called by data.rs as `python readers.py FOLDER`, with shards FOLDER/w-*.tar and FOLDER/p.parquet; prints `NAME RATE` for each package that is there. Pictures are shuffled as
each package has it: webdataset in a buffer of 100, datasets by its order of indices.
"""
import glob
import multiprocessing
import os
import sys
import time

import numpy
from PIL import Image

SIDE, WORKERS, BATCH = 256, 2, 16


def crop(image):
    """center_crop_arr of openai/guided-diffusion."""
    image = image.convert("RGB")
    while min(*image.size) >= 2 * SIDE:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
    scale = SIDE / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC)
    pixels = numpy.array(image)
    y, x = (pixels.shape[0] - SIDE) // 2, (pixels.shape[1] - SIDE) // 2
    return pixels[y : y + SIDE, x : x + SIDE]


def webdataset(folder, worker):
    import webdataset as wds

    shards = sorted(glob.glob(f"{folder}/w-*.tar"))[worker::WORKERS]
    for sample in wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=None, workersplitter=None).shuffle(100).decode("pil"):
        yield crop(sample["jpg"])


def datasets(folder, worker):
    from datasets import Dataset, Image as ImageFeature

    rows = Dataset.from_parquet(f"{folder}/p.parquet", cache_dir=f"{folder}/cache").cast_column("image", ImageFeature())
    for sample in rows.shuffle(seed=0).shard(WORKERS, worker):
        yield crop(sample["image"])


def work(reader, folder, worker, go, out):
    warm = next(iter(reader(folder, worker)))
    go.wait()
    n, batch = 0, []
    for pixels in reader(folder, worker):
        batch.append(pixels)
        if len(batch) == BATCH:
            n, batch = n + len(numpy.stack(batch)), []
    out.put(n + len(batch) if warm is not None else 0)


def rate(reader, folder):
    context = multiprocessing.get_context("fork")
    go, out = context.Barrier(WORKERS + 1), context.Queue()
    workers = [context.Process(target=work, args=(reader, folder, i, go, out)) for i in range(WORKERS)]
    for worker in workers:
        worker.start()
    go.wait()
    start = time.time()
    n = sum(out.get() for _ in workers)
    seconds = time.time() - start
    for worker in workers:
        worker.join()
    return n / seconds


if __name__ == "__main__":
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    for reader in (webdataset, datasets):
        try:
            __import__(reader.__name__)
        except ImportError as e:
            print(f"{reader.__name__} is left out: {e}", file=sys.stderr)
            continue
        print(reader.__name__, f"{rate(reader, sys.argv[1]):.1f}", flush=True)
