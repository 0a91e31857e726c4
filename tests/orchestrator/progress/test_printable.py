import json

import pytest

from orchestrator.progress.printable import printable, printable_json, say

HOSTILE = "".join(
    map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)])
)


def test_controls_are_written_out_and_words_stay() -> None:
    assert printable("\x1b]0;x\x07 \x9b2J \u202eabc") == "\\x1b]0;x\\x07 \\x9b2J \\u202eabc"
    assert printable("Katze, 猫, кошка, قط, 👩‍🔬\tand\nmore") == "Katze, 猫, кошка, قط, 👩‍🔬\tand\nmore"
    once = printable(HOSTILE)
    assert once.replace("\t", "").replace("\n", "").isprintable() and printable(once) == once


@pytest.mark.parametrize("text", [HOSTILE, "\ud83d", "a\U000e0041b", "猫"])
def test_json_keeps_its_meaning(text: str) -> None:
    escaped = printable_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert printable(escaped) == escaped and json.loads(escaped) == {text: [text]}


def test_a_line_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    say("host \x1b[2J")
    say("host \x9b2J", err=True)
    assert capsys.readouterr() == ("host \\x1b[2J\n", "host \\x9b2J\n")
