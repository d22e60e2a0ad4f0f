"""Checks every caption format's reader, its detection and its refusals."""

import json

import pytest

from pairlight.data.sniff import detect_format
from pairlight.data.sources import FORMATS, read_captions
from pairlight.errors import ConfigError, DataError

KARPATHY = {
    "dataset": "toy",
    "images": [
        {
            "filename": "a.jpg",
            "filepath": "val2014",
            "imgid": 0,
            "cocoid": 391,
            "split": "restval",
            "sentences": [{"raw": "A dog runs."}, {"raw": "A wet dog."}],
        },
        {"filename": "b.jpg", "imgid": 1, "split": "test", "sentences": [{"raw": "Two cats."}]},
    ],
}
COCO = {
    "info": {},
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 7, "caption": "A dog runs."},
        {"id": 2, "image_id": 7, "caption": "A wet dog."},
        {"id": 3, "image_id": 8, "caption": "Two cats."},
    ],
}
TEXTS = {
    "flickr8k": "a.jpg#0\tA dog runs.\na.jpg#1\tA wet dog.\nb.jpg#0\tTwo cats.\n",
    "kaggle": "image,caption\na.jpg,A dog runs.\na.jpg,A wet dog.\nb.jpg,Two cats.\n",
    "csv": "caption;file name\nA dog runs.;a.jpg\nA wet dog.;a.jpg\nTwo cats.;b.jpg\n",
    "tsv": "id\tpath\ttext\n1\ta.jpg\tA dog runs.\n2\ta.jpg\tA wet dog.\n3\tb.jpg\tTwo cats.\n",
    "karpathy": json.dumps(KARPATHY),
    "coco": json.dumps(COCO),
    "json": json.dumps(
        [
            {"file_name": "a.jpg", "captions": ["A dog runs.", "A wet dog."]},
            {"file_name": "b.jpg", "caption": "Two cats."},
        ],
        indent=1,
    ),
    "jsonl": '{"image": "a.jpg", "captions": ["A dog runs.", "A wet dog."]}\n'
    '{"image": "b.jpg", "text": "Two cats."}\n',
}


def write(tmp_path, text, name="captions.dat"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(reading):
    return [(pair.image.as_posix(), pair.caption) for pair in reading.pairs]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_format_is_detected_and_read(tmp_path, name, mark, ends):
    path = write(tmp_path, mark + TEXTS[name].replace("\n", ends))
    reading = read_captions(path)
    assert reading.format == name == detect_format(path)
    first = "val2014/a.jpg" if name == "karpathy" else "a.jpg"
    assert told(reading) == [(first, "A dog runs."), (first, "A wet dog."), ("b.jpg", "Two cats.")]
    assert reading.problems == []
    assert all(pair.source.startswith(f"{path}:") for pair in reading.pairs)
    assert told(read_captions(path, name)) == told(reading)


def test_sidecars(tmp_path):
    write(tmp_path, "A dog runs.\n\nA wet dog.\n", "a.txt")
    (tmp_path / "deep").mkdir()
    write(tmp_path, "Two cats.", "deep/b.txt")
    write(tmp_path, b"caf\xe9", "c.txt")
    write(tmp_path, b"", "d.txt")
    reading = read_captions(tmp_path)
    assert reading.format == "sidecars"
    assert told(reading) == [("a", "A dog runs."), ("a", "A wet dog."), ("deep/b", "Two cats.")]
    assert [line.split(":")[0] for line in reading.problems] == [
        str(tmp_path / "c.txt"),
        str(tmp_path / "d.txt"),
    ]
    assert reading.pairs[1].source == f"{tmp_path / 'a.txt'}:3"


def test_all_formats_are_tested():
    assert set(TEXTS) | {"sidecars"} == set(FORMATS)


def test_flickr8k_chinese_and_quirks(tmp_path):
    text = (
        "a.jpg#zhc#0 一只狗 在跑\na.jpg.1#0\tA dog .\nthis is no caption\n"
        "a.jpg#1\tHe is #1 \tat b.jpg#2 today\na.jpg#2\n"
    )
    reading = read_captions(write(tmp_path, text))
    assert told(reading) == [
        ("a.jpg", "一只狗 在跑"),
        ("a.jpg.1", "A dog ."),
        ("a.jpg", "He is #1 \tat b.jpg#2 today"),
        ("a.jpg", ""),
    ]
    assert len(reading.problems) == 1 and ":3: not NAME" in reading.problems[0]


def test_a_numbered_caption_does_not_make_a_table_flickr8k(tmp_path):
    path = write(tmp_path, "image,caption\na.jpg,He is #1 runner\n")
    assert told(read_captions(path)) == [("a.jpg", "He is #1 runner")]


def test_kaggle_commas_and_quotes(tmp_path):
    text = (
        "image,caption\n"
        'a.jpg,"A dog , wet , runs ."\n'
        "a.jpg,A dog , wet , runs .\n"
        'a.jpg,"He says ""hi"" , twice ."\n'
        'a.jpg,A sign reads " Stop , now " .\n'
        'a.jpg,"Stop" , says a sign .\n'
        'a.jpg,"A quote that never ends\n'
        "b.jpg,The next row .\n"
        'b.jpg,"two\nlines"\n'
    )
    reading = read_captions(write(tmp_path, text))
    assert told(reading) == [
        ("a.jpg", "A dog , wet , runs ."),
        ("a.jpg", "A dog , wet , runs ."),
        ("a.jpg", 'He says "hi" , twice .'),
        ("a.jpg", 'A sign reads " Stop , now " .'),
        ("a.jpg", '"Stop" , says a sign .'),
        ("a.jpg", '"A quote that never ends'),
        ("b.jpg", "The next row ."),
        ("b.jpg", "two lines"),
    ]
    assert reading.problems == []


def test_flickr30k_table(tmp_path):
    text = "image_name| comment_number| comment\n"
    text += "1.jpg| 0| A man , sitting .\n2.jpg| 4   A dog runs .\n"
    reading = read_captions(write(tmp_path, text))
    assert [(image, text.strip()) for image, text in told(reading)] == [
        ("1.jpg", "A man , sitting .")
    ]
    assert len(reading.problems) == 1 and ":3: 2 columns" in reading.problems[0]


def test_several_caption_columns_lists_and_splits(tmp_path):
    text = "split,image,caption_1,caption_2\n"
    text += 'val,a.jpg,One dog,Two dogs\nodd,b.jpg,"[""C"", ""D""]",E\n'
    reading = read_captions(write(tmp_path, text))
    assert [text for _, text in told(reading)] == ["One dog", "Two dogs", "C", "D", "E"]
    assert reading.splits == {"a.jpg": "val"}
    assert "unknown split 'odd'" in reading.problems[0]


@pytest.mark.parametrize("cell", ["[" + "9" * 5000 + "]", "[" * 100_000], ids=["digits", "deep"])
def test_a_cell_that_is_absurd_json_is_a_caption_as_it_stands(tmp_path, cell):
    reading = read_captions(write(tmp_path, f"image,caption\na.jpg,{cell}\nb.jpg,A dog.\n"))
    assert told(reading) == [("a.jpg", cell), ("b.jpg", "A dog.")]


def test_karpathy_keeps_splits_and_ids(tmp_path):
    reading = read_captions(write(tmp_path, TEXTS["karpathy"]))
    assert reading.splits == {"val2014/a.jpg": "train", "b.jpg": "test"}
    assert [pair.image_id for pair in reading.pairs] == ["391", "391", "b"]


def test_coco_odd_entries(tmp_path):
    odd = [{"image_id": 99, "caption": "No image."}, {"image_id": 7}, "text"]
    raw = {**COCO, "annotations": [*COCO["annotations"], *odd]}
    reading = read_captions(write(tmp_path, json.dumps(raw)))
    assert len(reading.pairs) == 3 and len(reading.problems) == 3
    assert "annotations[3]: image_id 99" in reading.problems[0]
    instances = {**COCO, "annotations": [{"image_id": 7, "bbox": []}]}
    with pytest.raises(DataError, match="have no captions"):
        read_captions(write(tmp_path, json.dumps(instances)))


def test_a_manifest_can_be_read_as_captions(tmp_path):
    line = {"image_id": "x", "image": "a.jpg", "captions": ["A dog."], "split": "test"}
    reading = read_captions(write(tmp_path, json.dumps(line)))
    assert reading.format == "jsonl" and reading.splits == {"a.jpg": "test"}
    assert reading.pairs[0].image_id == "x"


@pytest.mark.parametrize("whole", [True, False], ids=["json", "jsonl"])
def test_every_caption_key_of_a_record_is_used_as_every_column_is(tmp_path, whole):
    entries = [
        {"File Name": "a.jpg", "caption_1": "One.", "Caption 2": "Two.", "caption10": ["C", "D"]},
        {"image": "b.jpg", "caption": "E", "title": "no", "description": "F", "Split": "dev"},
        {"image": "c.jpg", "captions": ["G", 3], "caption_2": None, "comment": 4, "text": "H"},
        {"image": "d.jpg", "caption_1": None, "caption_2": None},
        {"image": 5, "caption": "I"},
    ]
    text = json.dumps(entries) if whole else "\n".join(map(json.dumps, entries))
    reading = read_captions(write(tmp_path, text))
    assert told(reading) == [
        *(("a.jpg", text) for text in ("One.", "Two.", "C", "D")),
        *(("b.jpg", text) for text in ("E", "F")),
        *(("c.jpg", text) for text in ("G", "H")),
    ]
    assert reading.splits == {"b.jpg": "val"}
    assert [problem.rsplit(": ", 1)[1] for problem in reading.problems] == [
        "a caption is not text",
        "comment must be a text or a list of them",
        "caption_1 must be a text or a list of them",
        "image must be text",
    ]


def test_half_a_surrogate_pair_can_be_written_back(tmp_path):
    path = write(tmp_path, '[{"image": "a.jpg", "caption": "A \\ud83d dog"}]')
    read_captions(path).pairs[0].caption.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("a.jpg#0\tun café".encode("latin-1"), r"byte 14, line 1\).*iconv -f WINDOWS-1252"),
        ("a.jpg#0\tA\na.jpg#1\t一只小狗在跑".encode("gb18030"), "line 2.*iconv -f GB18030"),
        ("a.jpg#0\tA dog.".encode("utf-16"), "UTF-16 text.*iconv -f UTF-16"),
        (b"PK\x03\x04\0\0\0", "not a text file"),
        (b"name,words\na,b\n", "no image and caption columns; found: name, words; looked for"),
        (b"image,words\na,b\n", "found: image, words"),
        (b"a.jpg,A dog runs.\n", "no header line"),
        (b"image,caption\n", "no captions found"),
        (b'[{"image": "a.jpg",\n "caption": }]', "invalid JSON at line 2, column 13"),
        (b'{"image": "a.jpg", "captions": 3}\n{"image": \n', "no captions found"),
        (b'{"images": []}', "'annotations'"),
        (b'{"a": 1,\n"b": 2}', "not a JSON list"),
        (b'[{"picture": "a.jpg", "words": "b"}]', "keys found: picture, words; looked for"),
        (b"[" * 100_000, "too deeply nested"),
        (b'{"a": ' + b"[" * 100_000, "too deeply nested"),
        (b'{"a": ' + b"9" * 5000 + b"}", "invalid JSON at line 1: .*digits"),
        (b'{"a": ' + b"9" * 5000 + b'}\n{"b": 1}', "invalid JSON at line 1: .*digits"),
    ],
)
def test_bad_files_give_one_line(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        read_captions(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_unknown_format(tmp_path):
    with pytest.raises(DataError, match="captions file not found"):
        read_captions(tmp_path / "no.txt")
    path = write(tmp_path, TEXTS["kaggle"])
    with pytest.raises(ConfigError, match="unknown caption format 'xml'; choose from auto, coco"):
        read_captions(path, "xml")
    with pytest.raises(DataError, match="is a file, which --format sidecars does not read"):
        read_captions(path, "sidecars")
    with pytest.raises(DataError, match="is a folder, which --format coco does not read"):
        read_captions(tmp_path, "coco")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no \.txt files"):
        read_captions(tmp_path / "none")


def test_single_bad_entries_are_noted_and_the_rest_is_read(tmp_path):
    lines = b'{"image": "a.jpg", "caption": "A dog."}\n{"image": \n{"image": "b.jpg", "caption": "B."}'
    reading = read_captions(write(tmp_path, lines))
    assert [pair.image.name for pair in reading.pairs] == ["a.jpg", "b.jpg"]
    assert "invalid JSON at line 2, column 11" in reading.problems[0]
    long_cell = b"image,caption\na.jpg,A dog.\nb.jpg,\"" + b"x" * 140_000 + b'"\n'
    reading = read_captions(write(tmp_path, long_cell))
    assert [pair.caption for pair in reading.pairs] == ["A dog."]
    assert "not a table row: field larger than field limit" in reading.problems[0]
