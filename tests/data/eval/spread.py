"""Computes spread.json, the figures behind src/core/eval/probe/spread_tests.rs: needs numpy, scipy and scikit-learn.

    python tests/data/eval/spread.py
"""
import json
import os

import numpy as np
import scipy
import sklearn
from scipy.stats import gaussian_kde
from sklearn.manifold import TSNE, trustworthiness
from sklearn.mixture import GaussianMixture

rng = np.random.default_rng(5)
K, D, N = 3, 4, 240
centres = rng.normal(size=(K, D)) * 4
x = np.round(np.concatenate([c + rng.normal(size=(N // K, D)) @ rng.normal(size=(D, D)) * 0.5 for c in centres]), 6)
plane = x[:, :2]
p = gaussian_kde(plane.T)(plane.T)
s = np.sort(p)
gini = ((2 * np.arange(1, N + 1) - N - 1) * s).sum() / (N * s.sum())
share = p / p.sum()
start = x[[0, 80, 160]]
cov = np.cov(x.T, ddof=0) + 1e-6 * np.eye(D)
g = GaussianMixture(K, tol=1e-9, max_iter=1000, means_init=start, weights_init=np.full(K, 1 / K), precisions_init=np.stack([np.linalg.inv(cov)] * K)).fit(x)
t = TSNE(perplexity=20, init="pca", random_state=0).fit_transform(x)
out = {
    "versions": f"scipy {scipy.__version__}, scikit-learn {sklearn.__version__}", "x": x.tolist(), "start": start.tolist(),
    "density": p[::10].tolist(), "cv": float(p.std() / p.mean()), "gini": float(gini), "entropy": float(-(share * np.log(share)).sum() / np.log(N)),
    "log_likelihood": float(g.score(x)), "means": g.means_.tolist(), "trustworthiness": float(trustworthiness(x, t, n_neighbors=10)),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spread.json")
json.dump(out, open(path, "w"))
print({k: out[k] for k in ("cv", "gini", "entropy", "log_likelihood", "trustworthiness")}, g.n_iter_)
