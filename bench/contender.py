"""One contender of ``bench alternatives``, in a process of its own: index a folder, or ask it.

Run as a file, by the interpreter of any environment: it imports what a user's own script would, and
nothing of boost-edge but as the contender ``boost-edge``. The others are what a user would write by
hand: decode with Pillow, one network, a matrix of vectors, the ten best by a dot product.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

__all__ = ["main"]

_K = 10
_BATCH = 32
_SUFFIX = ".jpg"

# Paths to (N, D) float32, rows of norm 1.
_Embed: TypeAlias = Callable[[Sequence[Path]], Any]
_Search: TypeAlias = Callable[[Path], object]


def main(task: dict[str, Any]) -> None:
    """Do a task and print what it took as JSON.

    ``do`` is ``index`` (prints ``seconds``), ``warm`` (``ms`` of each query) or ``cold`` (one
    query, timed by whoever started this process).
    """
    # Before anything is imported that counts the processors.
    allowed = sorted(os.sched_getaffinity(0))[: task["threads"]]
    os.sched_setaffinity(0, allowed)
    index, open_search = _CONTENDERS[task["contender"]](task)
    said: dict[str, Any] = {}
    if task["do"] == "index":
        started = time.perf_counter()
        index()
        said["seconds"] = time.perf_counter() - started
    else:
        search = open_search()
        queries = [Path(each) for each in task["queries"]]
        if task["do"] == "warm":
            # What is done once is the cold start's.
            search(queries[0])
            said["ms"] = [_milliseconds(search, query) for query in queries]
        else:
            search(queries[0])
    sys.stdout.write(json.dumps(said | {"peak_bytes": _peak()}) + "\n")


def _boost_edge(task: dict[str, Any]) -> tuple[Callable[[], object], Callable[[], _Search]]:
    from boost_edge import Encoder, Gallery

    encoder = Encoder.open(task["model"], threads=task["threads"])
    store = Path(task["store"]) / "gallery"

    def index() -> None:
        with Gallery.open(store, encoder) as gallery:
            gallery.index([task["images"]])

    def open_search() -> _Search:
        gallery = Gallery.open(store, encoder, create=False)
        return lambda query: gallery.query(query, k=_K)

    return index, open_search


def _torch(task: dict[str, Any], embed: _Embed | None = None) -> Any:
    return _by_hand(task, embed or _resnet18(task), _dot_product)


def _torch_faiss(task: dict[str, Any]) -> Any:
    return _by_hand(task, _resnet18(task), _faiss)


def _fastembed(task: dict[str, Any]) -> Any:
    import numpy as np

    fastembed: Any = __import__("fastembed")
    # Any name of its list that has one file: what is loaded is the folder's.
    model: Any = fastembed.ImageEmbedding(
        "Qdrant/resnet50-onnx",
        specific_model_path=task["fastembed"],
        threads=task["threads"],
        providers=["CPUExecutionProvider"],
    )

    def embed(paths: Sequence[Path]) -> Any:
        return np.array(list(model.embed([str(path) for path in paths], batch_size=_BATCH)))

    return _by_hand(task, embed, _dot_product)


_CONTENDERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "boost-edge": _boost_edge,
    "torch-numpy": _torch,
    "torch-faiss": _torch_faiss,
    "fastembed": _fastembed,
}


def _by_hand(
    task: dict[str, Any], embed: _Embed, open_index: Callable[[Any], Callable[[Any], Any]]
) -> tuple[Callable[[], object], Callable[[], _Search]]:
    """Return indexing into a file of vectors, and searching it."""
    import numpy as np

    store = Path(task["store"])
    paths = sorted(Path(task["images"]).glob(f"*{_SUFFIX}"))

    def index() -> None:
        vectors = embed(paths)
        np.save(store / "vectors.npy", vectors)
        (store / "paths.json").write_text(json.dumps([str(path) for path in paths]))

    def open_search() -> _Search:
        nearest = open_index(np.load(store / "vectors.npy"))
        names = json.loads((store / "paths.json").read_text())
        return lambda query: [names[place] for place in nearest(embed([query])[0])]

    return index, open_search


def _resnet18(task: dict[str, Any]) -> _Embed:
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms
    from torchvision.models import resnet18

    torch.set_num_threads(task["threads"])
    size = int(task["image_size"])
    prepare: Any = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    # How long a network takes does not depend on its weights.
    network: Any = resnet18(weights=None)
    network.fc = torch.nn.Identity()
    network = network.eval().to(memory_format=torch.channels_last)

    class Photos(Dataset[Any]):
        def __init__(self, paths: Sequence[Path]) -> None:
            self._paths = paths

        def __len__(self) -> int:
            return len(self._paths)

        def __getitem__(self, place: int) -> Any:
            with Image.open(self._paths[place]) as picture:
                return prepare(picture.convert("RGB"))

    def embed(paths: Sequence[Path]) -> Any:
        # Processes that decode meanwhile pay where there is more than one processor.
        workers = task["threads"] if task["threads"] > 1 and len(paths) > 1 else 0
        loader = DataLoader(Photos(paths), batch_size=_BATCH, num_workers=workers)
        with torch.inference_mode():
            parts = [
                torch.nn.functional.normalize(network(batch.to(memory_format=torch.channels_last)))
                for batch in loader
            ]
        return torch.cat(parts).numpy()

    return embed


def _dot_product(vectors: Any) -> Callable[[Any], Any]:
    return lambda query: (-(vectors @ query)).argsort()[:_K].tolist()


def _faiss(vectors: Any) -> Callable[[Any], Any]:
    faiss: Any = __import__("faiss")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda query: index.search(query[None], _K)[1][0].tolist()


def _milliseconds(search: _Search, query: Path) -> float:
    started = time.perf_counter()
    search(query)
    return (time.perf_counter() - started) * 1e3


def _peak() -> int | None:
    """Return the most memory that this process held, in bytes, where Linux tells it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(lines[0].split()[1]) if lines else None


if __name__ == "__main__":
    main(cast("dict[str, Any]", json.loads(sys.argv[1])))
