"""The search engine: Lucene's own answers, its words, its arithmetic by hand, and what is kept on disk."""

import json
import math
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lamarck.errors import ConfigError
from lamarck.evals.webshop import porter
from lamarck.evals.webshop.files import Files, read_catalogue
from lamarck.evals.webshop.generate import make_shop
from lamarck.evals.webshop.postings import BLOCK, exact_lengths
from lamarck.evals.webshop.search import Index
from lamarck.evals.webshop.tokens import LONGEST, STOP_WORDS, Analyzer
from nltk.stem.porter import PorterStemmer
from shops import SHARED

# What Lucene 9.5's EnglishAnalyzer makes of these texts (run once, with Anserini 0.22.1).
LUCENE = {
    "Women's T-Shirt, 3.5mm (Pack of 2) & The best!": "women t shirt 3.5mm pack 2 best",
    "don’t it＇s dogs’ O'NEIL'S": "don’t dog o'neil",
    "a.b x:y 1,000.5 1:2 snake_case __init__ _": "a.b x:y 1,000.5 1 2 snake_cas __init__",
    "technology assembly us relational hopping flies agreed sky": "technolog assembl us relat hop fli agre sky",
    "İstanbul ΟΔΟΣ STRASSE straße": "istanbul οδοσ strass straße",
    "1⁄2 inch ½": "1⁄2 inch",
    "ｽﾞﾎﾞﾝ ﾊﾞｯｸﾞ カタカナ ひらがな 日本語": "ｽﾞﾎﾞﾝ ﾊﾞｯｸﾞ カタカナ ひ ら が な 日 本 語",
    "★great☆ 😀👍🏽👨\u200d👩\u200d👧 🇩🇪🇫🇷 #️⃣ 1️⃣ ©": "★ great 😀 👍🏽 👨\u200d👩\u200d👧 🇩🇪 🇫🇷 #️⃣ 1️⃣ ©",
    "ภาษาไทย 한국어": "ภาษาไทย 한국어",
    "אב'ג צה\"ל א'": "אב'ג צה\"ל א'",
    "e\u0301t\u00e9 co\u00adop a\u200bb c\u00a0d e\u202ff": "e\u0301t\u00e9 co\u00adop b c d e\u202ff",
    "mid·dot l'eau 60.03“L x 11.02”W": "mid·dot l'eau 60.03 l x 11.02 w",
    "\U0001d400s \U0001d400s's": "\U0001d400 \U0001d400",
}


def documents_of_shop(products):
    return [
        (row["asin"], f"{row['name']} {' '.join(row['small_description'])}") for row in make_shop(1, products).items
    ]


def test_words_are_those_of_lucene():
    analyzer = Analyzer()
    for text, words in LUCENE.items():
        assert " ".join(analyzer(text)) == words, text
    assert len(STOP_WORDS) == 33 and analyzer("The a AND is") == []


def test_a_token_is_cut_at_255_units_as_java_counts_them():
    analyzer = Analyzer()
    assert [len(token) for token in analyzer.raw("x" * 600)] == [255, 255, 90]
    assert [len(token) for token in analyzer.raw("\U0001d400" * 300)] == [127, 127, 46]


PIECES = st.sampled_from(
    ["a", "Z's", "1", ".", ",", "'", '"', "_", " ", "\u0301", "\u200d", "\ufe0f", "カ", "ﾞ", "日", "א"]
)
SIGNS = st.one_of(PIECES, st.characters(), st.sampled_from("😀👍🏽🇦©★ℹⓂ#⃣ก\u202f\u200b\U000e0067\U000e007f"))


SEASONED = Analyzer()


@settings(max_examples=300, deadline=None)
@given(st.lists(SIGNS, max_size=60).map("".join))
def test_any_text_has_words_and_a_blank_always_parts_them(text):
    fresh = Analyzer()
    raw = list(fresh.raw(text))
    assert all(0 < len(token) <= LONGEST and token in text for token in raw)
    middle = len(text) // 2
    parted = f"{text[:middle]} {text[middle:]}"
    # What stands between blanks is looked up whole; that must be the same as reading all of it at once.
    assert list(fresh.raw(parted)) == [token for piece in parted.split(" ") for token in fresh.raw(piece)]
    assert SEASONED(parted) == fresh(parted) == fresh(parted)


@pytest.mark.parametrize(
    "sign", ["_", "\u200d", "a_", "😀\u200d", "1.", "א'", "_\u200d", "\u0301", "#\u0301", "_🏽", "ℹ\u200d", "ก\u0e31"]
)
def test_junk_is_read_once(sign):
    # 40,000 signs: quadratic time would be minutes.
    assert all(len(word) <= LONGEST for word in Analyzer()(sign * (40_000 // len(sign))))


def test_stems_are_those_of_nltk():
    draw = random.Random(0)
    endings = [
        *porter.STEP_2,
        *porter.STEP_3,
        *porter.STEP_4,
        *("ed", "ing", "eed", "s", "sses", "ies", "y", "e", "ll", "at", "bl", "iz", "tt", "ss", ""),
    ]
    letters = "aeioubcdlsty1'é"
    theirs = PorterStemmer(mode=PorterStemmer.MARTIN_EXTENSIONS)
    for _ in range(8000):
        start = "".join(draw.choice(letters) for _ in range(draw.randint(0, 6)))
        word = start + draw.choice(endings) + draw.choice(endings)
        assert porter.stem(word) == theirs.stem(word, to_lowercase=False), word


def test_lengths_are_rounded_as_lucene_stores_them():
    table = exact_lengths()
    assert table[:44] == [*range(41), 42, 44, 46]
    assert table[48:52] == [56, 60, 64, 68]
    # Four significant bits above 24, counted from 24: 1000 - 24 = 976 = 0b1111010000 keeps 0b1111 of it, 960.
    assert max(length for length in table if length <= 1000) == 24 + 960
    assert table == sorted(set(table)) and len(table) == 256 and table[-1] == 2_013_265_944


def brute(documents, query):
    """BM25 in Lucene's own order of operations, one document and one word at a time."""
    analyzer, f32 = Analyzer(), np.float32
    texts = {identity: analyzer(text) for identity, text in documents}
    average = f32(sum(map(len, texts.values())) / len(texts))
    found = []
    for identity, words in texts.items():
        counts, score = Counter(words), 0.0
        length = max(known for known in exact_lengths() if known <= len(words))
        inverse = f32(1) / (f32(0.9) * ((f32(1) - f32(0.4)) + f32(0.4) * f32(length) / average))
        for word, times in Counter(analyzer(query)).items():
            having = sum(word in other for other in texts.values())
            if not counts[word]:
                continue
            rarity = f32(math.log(1 + (len(texts) - having + 0.5) / (having + 0.5)))
            weight = f32(times) * rarity
            score += float(weight - weight / (f32(1) + f32(counts[word]) * inverse))
        if score:
            found.append((identity, float(f32(score))))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def test_ranking_is_bm25_by_hand():
    draw = random.Random(3)
    words = [f"word{number}" for number in range(30)]
    for _ in range(25):
        documents = [
            (f"P{number:02d}", " ".join(draw.choices(words, k=draw.choice((0, 1, 5, 30, 60)))))
            for number in draw.sample(range(99), draw.randint(1, 25))
        ]
        documents.append(("P99", "word1"))
        index = Index.build(documents)
        for _ in range(4):
            query = " ".join(draw.choices(words, k=draw.randint(1, 8)))
            expected = brute(documents, query)
            assert index.ranked(query, 50) == expected[:50]
            assert index.ranked(query, 3) == expected[:3]


def test_ties_go_by_id_and_the_order_of_the_documents_does_not_matter():
    documents = [(identity, "red shoe") for identity in ("B2", "A9", "B10", "a1", "A1")]
    assert Index.build(documents).search("shoe") == ["A1", "A9", "B10", "B2", "a1"]
    assert Index.build(documents[::-1]).search("shoe", 2) == ["A1", "A9"]


def test_a_repeated_word_counts_twice():
    index = Index.build([("a", "red shoe"), ("b", "blue shoe blue"), ("c", "green hat")])
    assert index.search("red blue") == ["b", "a"]
    assert index.search("red red blue") == ["a", "b"]


def test_nothing_to_find():
    index = Index.build([("a", "red shoe"), ("b", "")])
    assert [index.search(query) for query in ("", "the", "unknown", "?!")] == [[], [], [], []]
    assert index.search("shoe", 0) == [] and len(index) == 2
    assert Index.build([]).search("shoe") == []
    assert Index.build([("a", "")]).search("shoe") == []


def test_two_products_with_one_id_are_refused():
    with pytest.raises(ConfigError, match="two have the id B1"):
        Index.build([("B1", "x"), ("B2", "x"), ("B1", "y")])


def test_blocks_are_joined_in_order():
    documents = [(f"{number:06d}", f"w{number % 7} common w{number % 7} x{number}") for number in range(BLOCK + 50)]
    index = Index.build(documents)
    assert index.search(f"x{BLOCK + 7}") == [f"{BLOCK + 7:06d}"]
    assert index.search("common", 5) == [f"{number:06d}" for number in range(5)]
    assert index.search("w3", BLOCK) == [identity for identity, text in documents if text.startswith("w3 ")]


def test_threads_search_one_index():
    documents = documents_of_shop(300)
    index, words = Index.build(documents), [f"{text} new{number}" for number, (_, text) in enumerate(documents)]
    calm = Index.build(documents)
    alone = [calm.search(one) for one in words[:60]]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(index.search, words[:60])) == alone


def test_an_index_is_kept_by_content(tmp_path):
    documents = documents_of_shop(120)
    first = Index.open(documents, tmp_path)
    [file] = tmp_path.iterdir()
    again = Index.open(documents, tmp_path)
    query = documents[7][1]
    assert again.ranked(query) == first.ranked(query) == Index.load(file).ranked(query) != []
    Index.open([*documents[:-1], (documents[-1][0], "other words")], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_torn_file_is_written_anew(tmp_path):
    documents = documents_of_shop(60)
    expected = Index.open(documents, tmp_path).ranked(documents[5][1])
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for broken in (b"", whole[:100], whole[: len(whole) // 2], whole[:-1], bytes(flipped), b"junk" * 100):
        file.write_bytes(broken)
        assert Index.open(documents, tmp_path).ranked(documents[5][1]) == expected
        assert Index.load(file).ranked(documents[5][1]) == expected
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert Index.open([("a", "red shoe")], tmp_path / "file").search("shoe") == ["a"]


def test_a_small_shop_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMARCK_CACHE", str(tmp_path))
    assert Index.open([("a", "red shoe")]).search("shoe") == ["a"] and not list(tmp_path.iterdir())


def test_real_lucene_answers_the_same():
    """All 1,200 recorded lists of a real Lucene, order included; where there are none, each product by its name."""
    if not (SHARED / "lucene_top50.jsonl").is_file():
        documents = documents_of_shop(100)
        index = Index.build(documents)
        assert all(identity in index.search(text, 10) for identity, text in documents)
        return
    catalogue = read_catalogue(Files.find(SHARED))
    index = Index.build([(product.asin, product.document) for product in catalogue.products])
    with (SHARED / "lucene_top50.jsonl").open(encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    assert len(answers) == 1200
    assert [one["query"] for one in answers if index.search(one["query"]) != one["top50"]] == []
