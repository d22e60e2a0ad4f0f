"""Tests that texts stay texts in the HTML and in the JSON inside it."""

import json

import pytest

from pairlight.report.markup import Html, embed_json, join, number, table, tag


def test_texts_and_attributes_are_escaped():
    text = "<b>\"'&</b>"
    assert tag("p", text) == "<p>&lt;b&gt;&quot;&#x27;&amp;&lt;/b&gt;</p>"
    assert tag("a", title=text) == '<a title="&lt;b&gt;&quot;&#x27;&amp;&lt;/b&gt;"></a>'
    assert tag("p", tag("b", "x"), None, 3) == "<p><b>x</b>3</p>"
    assert join("<", Html("<br>")) == "&lt;<br>"


def test_attributes_lose_their_underscores():
    found = tag("input", class_="a", aria_label="b", hidden=True, checked=False, id=None)
    assert found == '<input class="a" aria-label="b" hidden>'


def test_tables():
    found = table(["", "<a>"], [["row", 1], ["other", tag("b", 2)]], "what & why")
    assert "<caption>what &amp; why</caption>" in found
    assert '<th scope="col">&lt;a&gt;</th>' in found and "<td><b>2</b></td>" in found


@pytest.mark.parametrize(
    "text", ["</script>", "<!--", "]]>", "&amp;", "\u2028\u2029", "שלום 🐕", "$x ${y}", "\\u003c"]
)
def test_json_in_a_script_holds_no_markup_and_says_the_same(text):
    found = embed_json({text: [text]})
    assert not set("<>&\u2028\u2029") & set(found)
    assert json.loads(found) == {text: [text]}


def test_half_a_character_of_a_file_name_is_json_still():
    found = embed_json(["a\udcff.jpg"])
    found.encode("utf-8")
    assert json.loads(found) == ["a\udcff.jpg"]


def test_numbers_that_are_none_are_errors_or_dashes():
    with pytest.raises(ValueError):
        embed_json(float("nan"))
    assert number(None) == "–" and number(-0.001, 2) == "0.00" and number(1234.5) == "1,234.5"
