"""Computes probe.json, the figures behind src/core/eval/probe/tests.rs: needs numpy and scikit-learn.

    python tests/data/eval/probe.py

Features and factors are random with weak dependence; training pictures are the first 120, test pictures the last 40.
"""
import json
import os

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(11)
N, D, TRAIN, C = 160, 12, 120, 0.7
x = np.round(rng.normal(size=(N, D)) * rng.uniform(0.1, 8.0, size=D) + rng.normal(size=D) * 20, 6)
x[:, 5] = 2.5
z = (x - x.mean(0)) / (x.std(0) + 1e-9)
names, values, targets = [], [], []
hair = (z @ rng.normal(size=(D, 4)) + 2.0 * rng.gumbel(size=(N, 4))).argmax(1)
names.append("hair"); values.append(["bun", "curly", "spiky", "wavy"]); targets.append(hair)
for k in range(7):
    y = (z @ rng.normal(size=D) + 2.0 * rng.normal(size=N) > 0.6 * k - 1.0).astype(int)
    names.append(f"a{k}"); values.append(["-1", "1"]); targets.append(y)
targets = np.stack(targets, 1)

scale = StandardScaler().fit(x[:TRAIN])
a, b = scale.transform(x[:TRAIN]), scale.transform(x[TRAIN:])
fit = lambda y: LogisticRegression(C=C, tol=1e-10, max_iter=100000).fit(a, y)
factors, tp, fp, fn = [], 0, 0, 0
model = fit(targets[:TRAIN, 0])
hair_scores = model.decision_function(b)
hair_shares = model.predict_proba(b)
truth = targets[TRAIN:, 0]
answers = model.predict(b)
one = np.eye(4, dtype=int)[truth]
factors.append([f1_score(truth, answers, average="macro"), float(np.mean([average_precision_score(one[:, v], hair_shares[:, v]) for v in range(4) if one[:, v].any()]))])
for v in range(4):
    tp += ((answers == v) & (truth == v)).sum(); fp += ((answers == v) & (truth != v)).sum(); fn += ((answers != v) & (truth == v)).sum()
scores = []
for k in range(1, 8):
    s = fit(targets[:TRAIN, k]).decision_function(b)
    t = targets[TRAIN:, k]
    factors.append([f1_score(t, s > 0), average_precision_score(t, s)])
    tp += ((s > 0) & (t == 1)).sum(); fp += ((s > 0) & (t == 0)).sum(); fn += ((s <= 0) & (t == 1)).sum()
    scores.append(s)
scores = np.stack(scores, 1)
t = targets[TRAIN:, 1:]
top = np.argsort(-scores, 1)[:, :5]
hits = sum(t[i, top[i]].sum() for i in range(len(t)))
out = {
    "versions": f"numpy {np.__version__}, scikit-learn {sklearn.__version__}", "train": TRAIN, "c": C,
    "x": x.tolist(), "targets": targets.tolist(), "names": names, "values": values,
    "hair_scores": hair_scores.tolist(), "binary_scores": scores.tolist(), "factors": factors,
    "f1_macro": float(np.mean([f[0] for f in factors])), "ap": float(np.mean([f[1] for f in factors])),
    "f1_micro": float(2 * tp / (2 * tp + fp + fn)), "top5": float(hits / t.sum()),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.json")
json.dump(out, open(path, "w"))
print({k: out[k] for k in ("f1_macro", "f1_micro", "ap", "top5", "factors")})
