"""Writes the archives and tables of tests/it/data/packed.rs with the tools that people use: python make.py [FOLDER] (datasets 4, webdataset 1,
pyarrow; the pictures are the first two of each class in ../avatars64).

train-0000?-of-00002.parquet  Hugging Face's `datasets`: Image, ClassLabel, row groups of 3, snappy
plain.parquet                 pyarrow: bytes in `img`, names in `kind`, one of them null, zstd, pages of 4 kB
shard-00000?.tar              webdataset: png and cls
json-000000.tar               webdataset: png and json with the name of the class
"""
import pathlib, sys
import datasets, pyarrow as pa, pyarrow.parquet as pq, webdataset as wds

here = pathlib.Path(__file__).parent
out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else here)
avatars = here.parent / "avatars64"
classes = sorted(p.name for p in avatars.iterdir() if p.is_dir())
files = [f for c in classes for f in sorted((avatars / c).iterdir())[:2]]
labels = [classes.index(f.parent.name) for f in files]

features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)})
for part, (a, b) in enumerate([(0, 5), (5, 8)]):
    rows = {"image": [{"bytes": f.read_bytes(), "path": f.name} for f in files[a:b]], "label": labels[a:b]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(out / f"train-{part:05}-of-00002.parquet", batch_size=3)

kinds = [f.parent.name for f in files]
kinds[5] = None
table = pa.table({"id": list(range(8)), "img": pa.array([f.read_bytes() for f in files], pa.binary()), "kind": kinds})
pq.write_table(table, out / "plain.parquet", compression="zstd", data_page_size=4096, row_group_size=5, write_page_index=True, use_dictionary=["kind"])

with wds.ShardWriter(str(out / "shard-%06d.tar"), maxcount=5, verbose=0) as shards:
    for i, (f, label) in enumerate(zip(files, labels)):
        shards.write({"__key__": f"{i:06}", "png": f.read_bytes(), "cls": label})
with wds.ShardWriter(str(out / "json-%06d.tar"), maxcount=100, verbose=0) as shards:
    for i, f in enumerate(files):
        shards.write({"__key__": f"{i:06}", "json": {"id": i, "label": f.parent.name}, "png": f.read_bytes()})
