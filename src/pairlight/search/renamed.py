"""Notices files that took each other's names, so that each photo keeps its id."""

from collections import Counter, defaultdict

from pairlight.files import sha256_of
from pairlight.search.plan import Plan
from pairlight.search.records import Found, Known
from pairlight.search.store import Store


def settle_renames(store: Store, plan: Plan, embedded: set[int]) -> Counter:
    """Enter, in one step, renames onto names that other photos had; return what they count as.

    Exchanged names, and files that were numbered anew. A plain run would take each such file for
    its predecessor with other content, and give one photo's id to another. Sizes tell which files
    to look at, their bytes decide. `plan` is brought up to date: what is `embedded` already need
    not be read again.
    """
    moves = _moves(store, plan)
    if not moves:
        return Counter()
    held = {photo.id: photo for photo in plan.known.values()}
    over = [plan.known[file.path].id for file in moves.values() if file.path in plan.known]
    gone = [id for id in over if id not in moves]
    store.rename(moves, gone)
    for id in (*moves, *gone):
        del plan.known[held[id].path]
    settled = {
        file.path: Known(id, file.path, file.size, file.mtime_ns, held[id].content)
        for id, file in moves.items()
    }
    plan.known.update(settled)
    plan.gone = [photo for photo in plan.gone if photo.id not in moves]
    plan.todo = [
        file
        for file in plan.todo
        if file.path not in settled or settled[file.path].content not in embedded
    ]
    return Counter(moved=len(moves), deleted=len(gone))


def _moves(store: Store, plan: Plan) -> dict[int, Found]:
    """Return photo id -> file for files with another photo's name, and where those photos went."""
    taken = [file for file in plan.todo if file.path in plan.known]
    leaving = [*plan.gone, *(plan.known[file.path] for file in taken)]
    hashes = store.hashes({photo.content for photo in leaving})
    by_bytes: dict[bytes | None, list[Known]] = defaultdict(list)
    for photo in leaving:
        by_bytes[hashes.get(photo.content)].append(photo)
    by_size: dict[int, list[Found]] = {photo.size: [] for photo in leaving}
    for file in plan.todo:
        if file.size in by_size:
            by_size[file.size].append(file)
    times = {(photo.size, photo.mtime_ns) for photo in leaving}
    moves: dict[int, Found] = {}
    seen: set[str] = set()
    # Not each file of the size it had: after a restored backup that would be all of them.
    queue = [
        file
        for file in taken
        if (file.size, file.mtime_ns) in times
        or (file.size in by_size and file.size != plan.known[file.path].size)
    ]
    while queue:
        file = queue.pop()
        sha256 = None if file.path in seen else _hash(file)
        seen.add(file.path)
        before = plan.known.get(file.path)
        if sha256 is None or (before and hashes.get(before.content) == sha256):
            continue
        photo = next((each for each in by_bytes[sha256] if each.id not in moves), None)
        if photo is not None:
            moves[photo.id] = file
            if before is not None:
                queue += by_size.pop(before.size, [])
    return moves


def _hash(file: Found) -> bytes | None:
    try:
        return bytes.fromhex(sha256_of(file.path))
    except OSError:  # the run that follows tells why
        return None
