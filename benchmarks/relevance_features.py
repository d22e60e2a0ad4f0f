"""Measures which features of a query would make relevance better, on photos left out of the fit.

python benchmarks/relevance_features.py --model pretrained --manifest flickr8k.jsonl [--split val]

Hits with known truth are made of captioned photos as for the calibration (search/relevance.py). A
logistic regression is fitted on three quarters of the photos and measured on the others, four times
over: log loss, and what is kept when 5 % of the captions of absent photos find something in small
collections: of right first hits there, and of all right hits looked at in large ones, where many
photos may fit. Nothing here sees the queries of relevance.py.
"""

import numpy as np
from relevance import embed, extended, learnt_words, parser_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pairlight
from pairlight.search.relevance import COVERED, UNCOVERED, coverage, ranks_of
from pairlight.words import content_words

FOLDS, ROUNDS, QUERIES = 4, 3, 400
SIZES = (20, 35, 50, 100, 200, 500)
SMALL, LARGE = 50, 100  # Collections of at most, and of at least, so many photos.
BASE = ["score", "log_count"]
AS_IT_IS = ["log_rank", "familiarity", "level", "brevity"]
SETS = {
    "nothing else": [],
    "distance from the mean, in deviations": ["z"],
    "mean of all scores": ["mean"],
    "mean and deviation": ["mean", "std"],
    "lead over the next best": ["lead"],
    "lead over the ten next": ["lead_ten"],
    "likeness to the nearest captions of others": ["texts"],
    "familiarity: mean log count of the query's words in training": ["familiarity"],
    "log count of the rarest of them": ["rarest"],
    "log of how many photos score as high": ["log_rank"],
    "both of these": ["log_rank", "familiarity"],
    "these and one over the number of words": ["log_rank", "familiarity", "brevity"],
    "these and the median over the number of words": ["log_rank", "familiarity", "level"],
    "these and both (as it is)": AS_IT_IS,
    "as it is, and the median": [*AS_IT_IS, "median"],
    "as it is, and the distance": [*AS_IT_IS, "z"],
    "as it is, and the rarest word": [*AS_IT_IS, "rarest"],
    "all of these": [*AS_IT_IS, *"z mean std lead lead_ten texts rarest median".split()],
}


def features(row, top, nearest_texts, words):
    """Features of the hits `top` of one query, whose scores over a collection are `row`."""
    ordered = -np.sort(-row)
    score, many = row[top], np.ones(len(top))
    best_other = np.where(np.arange(len(top)) == 0, ordered[1], ordered[0])
    return {
        "score": score,
        "log_count": np.log(len(row)) * many,
        "z": (score - row.mean()) / row.std(),
        "mean": row.mean() * many,
        "std": row.std() * many,
        "lead": score - best_other,
        "lead_ten": score - ordered[1:11].mean(),
        "texts": nearest_texts * many,
        "log_rank": np.log([(row >= each).sum() for each in score]),
        "median": np.median(row) * many,
        "level": np.median(row) * words[2] * many,
        "brevity": words[2] * many,
        "familiarity": words[0] * many,
        "rarest": words[1] * many,
    }


def collect(held, cover, pool, rng, words):
    """Features, truth and kind (present, place, photos) of hits in collections out of `pool`."""
    images, texts, owner, _ = held
    scores = texts @ images.T
    inside = np.isin(owner, pool)
    rows, right, kinds = [], [], []
    for size in [size for size in SIZES for _ in range(ROUNDS) if size <= len(pool) // 2]:
        chosen = rng.choice(pool, size, replace=False)
        order = rng.permutation(np.flatnonzero(inside))
        order = order[cover[order, owner[order]] > 0]
        present = np.isin(owner[order], chosen)
        absent = ~present & (cover[order][:, chosen].max(axis=1) < 0.5)
        for there, queries in ((1, order[present]), (0, order[absent])):
            for query in queries[: QUERIES // 2]:
                row = scores[query, chosen]
                top = np.argsort(-row)[ranks_of(size)]
                others = texts[inside & (owner != owner[query])] @ texts[query]
                near = np.partition(others, -10)[-10:].mean()
                covered, own = cover[query, chosen[top]], chosen[top] == owner[query]
                known = own | (covered >= COVERED) | (covered < UNCOVERED)
                table = features(row, top, near, words[query])
                rows.append({name: each[known] for name, each in table.items()})
                right.append((own | (covered >= COVERED))[known])
                place = np.arange(len(top))[known]
                kinds.append([(there, at, size) for at in place])
    table = {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}
    return table, np.concatenate(right), np.array([each for kind in kinds for each in kind])


def rarest(known, text):
    """log(1 + count) of the content word that training captions have least often."""
    return np.log1p(min((known.counts.get(word, 0) for word in content_words(text)), default=0))


def measure(names, fitted_on, left_out):
    """Log loss, and the shares of right hits kept at 5 % alarms: first ones, those among many."""
    table, right, _ = fitted_on
    model = make_pipeline(StandardScaler(), LogisticRegression(C=100, max_iter=2000))
    model.fit(np.stack([table[name] for name in names], 1), right)
    table, right, kinds = left_out
    promised = model.predict_proba(np.stack([table[name] for name in names], 1))[:, 1]
    loss = -np.log(np.where(right, promised, 1 - promised).clip(1e-9)).mean()
    there, place, size = kinds.T
    first = (place == 0) & (size <= SMALL)
    at_five = np.quantile(promised[first & (there == 0)], 0.95)
    shares = [(promised[each & (there == 1) & right] >= at_five).mean()
              for each in (first, size >= LARGE)]  # fmt: skip
    return loss, *shares


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = pairlight.load(args.model)
    held = extended(embed(model, args.manifest, args.split), model, args.seed)
    cover = coverage(held[3], held[2], len(held[0]))
    known = learnt_words(args.manifest, args.split, args.model, model)
    words = [(known.familiarity(text), rarest(known, text), 1 / max(len(content_words(text)), 1))
             for text in held[3]]  # fmt: skip
    photos = np.random.default_rng(args.seed).permutation(len(held[0]))
    folds = []
    for number, fold in enumerate(np.array_split(photos, FOLDS)):
        rng = np.random.default_rng([args.seed, number])
        rest = np.setdiff1d(photos, fold)
        folds.append([collect(held, cover, pool, rng, words) for pool in (rest, fold)])
    print("| features beside score and number of photos | log loss | first kept | kept of many |")
    print("| --- " * 4 + "|")
    for what, more in SETS.items():
        found = np.array([measure(BASE + more, *fold) for fold in folds])
        loss, *shares = found.mean(axis=0)
        off = found[:, 1:].std(axis=0, ddof=1) / FOLDS**0.5
        told = [f"{share:.1%} ± {error:.1%}" for share, error in zip(shares, off, strict=True)]
        print(f"| {what} | {loss:.4f} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
